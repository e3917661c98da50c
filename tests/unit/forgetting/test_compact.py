"""Pixels that nothing on main points to are dropped, on main alone and for good."""

import pytest

from registry.catalog.compacting import OpenDraftsError, compact
from registry.tables import store
from registry.tables.references import check_pointers


def digests(registry, ref):
    return set(registry.resolve(ref).table("pixels", ["sha256"])["sha256"].to_pylist())


@pytest.fixture
def quiet(world):
    """No branch of people's is open: what they had is merged or deleted."""
    world.registry.delete_branch("ships", "anna/fix")
    return world


def test_what_nothing_points_to_is_dropped_from_main_alone(quiet):
    gone = quiet.gone_pixels()
    assert gone in digests(quiet.registry, "ships@main")
    done = compact(quiet.registry, "ships")
    assert done.rows == 1
    assert gone not in digests(quiet.registry, "ships@main")
    assert gone in digests(quiet.registry, "ships@v2")


def test_no_other_table_changes(quiet):
    before = quiet.registry.resolve("ships@main")
    compact(quiet.registry, "ships")
    after = quiet.registry.resolve("ships@main")
    for name in set(before.tables()) - {"pixels"}:
        assert after.table(name).equals(before.table(name))
    assert check_pointers(after.root).num_rows == 0


def test_the_log_says_that_no_data_changed(quiet):
    compact(quiet.registry, "ships")
    folder = quiet.registry.resolve("ships@main").root.path / "pixels" / "_delta_log"
    newest = max(folder.glob("*.json")).read_text()
    assert '"dataChange":true' not in newest


def test_it_is_refused_while_a_branch_is_open(world):
    with pytest.raises(OpenDraftsError, match="anna/fix"):
        compact(world.registry, "ships")


def test_a_second_time_there_is_nothing_to_drop(quiet):
    compact(quiet.registry, "ships")
    head = quiet.repository.resolve("main")
    assert compact(quiet.registry, "ships").commit is None
    assert quiet.repository.resolve("main") == head
    assert not quiet.repository.branches("staging/")


def test_merging_an_older_side_does_not_bring_dropped_rows_back(quiet, canary):
    repository = quiet.repository
    repository.create_branch("source/late", at="v3")
    with repository.workspace("source/late") as workspace:
        store.append(workspace.path, *quiet.chip_rows("boat_09"))
        workspace.commit("a late source")
    compact(quiet.registry, "ships")
    quiet.registry.merge("ships", "source/late")
    found = digests(quiet.registry, "ships@draft")
    assert quiet.gone_pixels() not in found
    assert quiet.chip_rows("boat_09")[1]["sha256"][0].as_py() in found


def test_rows_that_a_merged_pointer_needs_come_back(quiet, canary):
    repository = quiet.repository
    repository.create_branch("source/late", at="v3")
    with repository.workspace("source/late") as workspace:
        store.append(workspace.path, quiet.schema("assets"), quiet.asset_rows(canary))
        store.append(workspace.path, *quiet.chip_rows("boat_09"))
        workspace.commit("it points to what is dropped")
    compact(quiet.registry, "ships")
    quiet.registry.merge("ships", "source/late", prefer="theirs")
    version = quiet.registry.resolve("ships@draft")
    assert check_pointers(version.root).num_rows == 0
