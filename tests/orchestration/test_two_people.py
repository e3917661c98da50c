"""The demo's second half: what two people do on two branches ends in one version."""

import shutil

import pyarrow.compute as pc
import pytest

from assets.two_people import mend_labels
from registry.catalog import connect
from registry.cli.app import run


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    home = tmp_path_factory.mktemp("ships")
    folder = str(home / "ships")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_LAKE", str(home / "lake"))
        for command in (
            ("init",),
            ("simulate", "detection", folder, "--samples", "12"),
            ("ingest", folder, "--into", "ships", "--licence", "CC0-1.0", "--provider", "Lab"),
            ("publish", "ships", "-m", "first"),
        ):
            assert run(command) == 0
    return home / "lake"


@pytest.fixture
def lab(published, tmp_path):
    shutil.copytree(published, tmp_path / "lake")
    return connect(str(tmp_path / "lake"))


def test_the_work_of_both_is_in_the_version_and_the_conflict_is_drawn(lab, tmp_path):
    outcome = mend_labels(lab, "ships", tmp_path / "pages")

    after = outcome.version.table("annotations", ["id", "area", "status"])
    redrawn = after.filter(pc.is_null(after["status"]))  # the others one of the two has accepted
    before = lab.resolve("ships@v1").table("annotations", ["id", "area"])
    was = before.filter(pc.equal(before["id"], redrawn["id"][0]))["area"][0].as_py()
    assert (outcome.version.tag, redrawn.num_rows) == ("v2", 1)
    assert redrawn["area"][0].as_py() == pytest.approx(0.81 * was, rel=1e-3)
    conflict, changes = (page.read_text("utf-8") for page in outcome.pages)
    assert "ben/fix" in conflict
    assert "ships@v2" in changes
    assert {"anna/fix", "ben/fix"} <= set(lab.branches("ships"))
    assert any(line.startswith("1 conflict") for line in outcome.lines)


def test_done_again_it_changes_nothing(lab, tmp_path):
    first = mend_labels(lab, "ships", tmp_path / "pages")
    again = mend_labels(lab, "ships", tmp_path / "pages")

    assert (again.version.commit, again.lines) == (first.version.commit, ())


def test_a_run_that_was_stopped_is_gone_on_with(lab, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("registry.web.conflicts.render", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            mend_labels(lab, "ships", tmp_path / "pages")

    assert mend_labels(lab, "ships", tmp_path / "pages").version.tag == "v2"
