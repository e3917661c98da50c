"""What was purged is nowhere, and everything else is as it was."""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest

from registry import lake
from registry.catalog import Registry, edit_rows
from registry.catalog.forgetting.purging import (
    ForgottenError,
    Wanted,
    apply,
    finish,
    purge,
    purges,
    refuse_forgotten,
)
from registry.errors import (
    ConflictError,
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from registry.lake.transfer import Part, clone, pull, push
from registry.query import find_slice, version_of_slice
from registry.tables import store
from registry.tables.references import check_pointers

REASON = "a person asked"


@pytest.fixture
def wanted(canary):
    return Wanted(where=f"id = '{canary}'")


@pytest.fixture
def rows_at():
    """Give every row of every table of a ref that does not speak of a name."""

    def rows(registry, ref, without=None):
        version = registry.resolve(ref)
        found = {}
        for name in version.tables():
            table = version.table(name)
            said = [repr(row) for row in table.to_pylist()]
            found[name] = sorted(row for row in said if without is None or without not in row)
        return found

    return rows


@pytest.fixture
def before(world, canary, rows_at):
    refs = ("ships@v1", "ships@v2", "ships@v3", "ships@anna/fix", "ships@main")
    gone = world.gone_pixels()
    found = {ref: rows_at(world.registry, ref, canary) for ref in refs}
    for tables in found.values():
        tables["pixels"] = [row for row in tables["pixels"] if repr(gone)[2:-1] not in row]
    return found


@pytest.fixture
def purged(world, wanted, before):
    done = purge(world.repository, wanted, reason=REASON)
    world.done = done
    return world


# ------------------------------------------------------------------------ what is gone
def test_the_name_is_everywhere_before(world, canary):
    assert world.hits(canary.encode())


def test_the_name_is_nowhere_after(purged, canary):
    assert purged.hits(canary.encode()) == []


def test_the_pixels_are_nowhere_after(world, wanted):
    payload, digest = world.payload(), world.gone_pixels()
    assert world.hits(payload)
    assert world.hits(digest)
    purge(world.repository, wanted, reason=REASON)
    assert world.hits(payload) == []
    assert world.hits(digest) == []


def test_journals_of_ingests_go_too(world, wanted, canary):
    journal = world.folder / "lake" / ".ingest" / "one"
    journal.mkdir(parents=True)
    (journal / "record.arrow").write_text(canary)
    purge(world.repository, wanted, reason=REASON)
    assert not journal.exists()


# ------------------------------------------------------------------------ what stays
def test_every_other_row_is_as_it_was_at_every_ref(purged, before, rows_at):
    for ref, tables in before.items():
        assert rows_at(purged.registry, ref) == tables, ref


def test_every_pointer_has_its_pixels(purged):
    for ref in ("v1", "v2", "v3", "anna/fix"):
        root = purged.registry.resolve(f"ships@{ref}").root
        assert check_pointers(root).num_rows == 0


def test_commits_without_the_rows_keep_their_ids(purged):
    assert purged.registry.resolve("ships@v1").commit.id == purged.commits["v1"]
    assert purged.registry.resolve("ships@v2").commit.id != purged.commits["v2"]


def test_authors_times_and_the_shape_of_the_history_stay(world, wanted):
    def shape():
        return [(one.author, one.at, len(one.parents)) for one in world.repository.log("main")]

    told = shape()
    purge(world.repository, wanted, reason=REASON)
    assert shape() == told


def test_the_lake_is_whole_after(purged):
    assert list(purged.repository.fsck()) == []


def test_pixels_that_another_sample_points_to_stay(world, rows_at):
    with world.registry.draft("ships").edit("twin") as root:
        twin = store.read(root, "assets").slice(0, 1).to_pylist()[0]
        store.append(
            root, world.schema("assets"), pa.Table.from_pylist([twin | {"sample": "twin_1"}])
        )
    digest = twin["pixels"]
    purge(world.repository, Wanted(samples=[twin["sample"]]), reason=REASON)
    pixels = world.registry.resolve("ships@draft").table("pixels", ["sha256"])["sha256"]
    assert digest in pixels.to_pylist()


# ------------------------------------------------------------------------- the engines
def test_delta_rs_and_duckdb_read_every_purged_table(purged, canary):
    import duckdb
    from deltalake import DeltaTable

    for ref in ("v1", "v2", "v3", "anna/fix"):
        version = purged.registry.resolve(f"ships@{ref}")
        for name in version.tables():
            table = DeltaTable(version.home_of(name).path / name)
            counted = table.to_pyarrow_table().num_rows
            adds = pa.table(table.get_add_actions()).to_pylist()
            assert counted == version.count(name) == sum(one["num_records"] for one in adds)
            assert canary not in repr(adds)
            files = table.file_uris()
            if files:
                asked = duckdb.execute("select count(*) from read_parquet(?)", [files])
                assert asked.fetchone() == (counted,)


def test_a_table_can_be_written_on_after(purged):
    edit_rows(
        purged.registry, "ships@anna/fix", table="annotations",
        assignments=["category='yacht'"], where="sample = 'boat_01'",
    )  # fmt: skip
    found = purged.registry.resolve("ships@anna/fix").table("annotations")
    assert "yacht" in found["category"].to_pylist()


# ---------------------------------------------------------------------- what is told
def test_an_old_commit_leads_to_the_one_that_stands_in_for_it(purged):
    version = purged.registry.resolve(f"ships@{purged.commits['v2']}")
    assert version.commit.id == purged.registry.resolve("ships@v2").commit.id
    short = purged.registry.resolve(f"ships@{purged.commits['v2'][:10]}")
    assert short.commit.id == version.commit.id


def test_a_touched_version_says_why_it_is_another(purged):
    (one,) = purged.registry.resolve("ships@v2").purges
    assert one.reason == REASON
    assert purged.registry.resolve("ships@v1").purges == ()


def test_the_old_content_id_leads_to_the_new_one(world, wanted):
    old = world.registry.resolve("ships@v2").content_id
    done = purge(world.repository, wanted, reason=REASON)
    assert done.contents[old] == world.registry.resolve("ships@v2").content_id


def test_a_slice_loses_the_sample_and_is_found_by_its_old_id(purged, canary):
    found = find_slice(purged.registry, purged.commits["slice"])
    assert canary not in found.ids
    assert len(found.ids) == 3
    assert version_of_slice(purged.registry, found).tag == "v2"


def test_the_records_name_nobody_and_make_a_chain(purged, canary, wanted):
    purge(purged.repository, Wanted(samples=["boat_02"]), reason="another")
    first, second = purges(purged.repository)
    assert (first.previous, second.previous) == (None, first.id)
    assert first.hash_of(canary) in first.keys["samples"]
    assert canary.encode() not in first.to_json()


def test_a_record_that_was_changed_is_found_out(purged):
    repository = purged.repository
    (one,) = purges(repository)
    head = repository.resolve("purges")
    path = f"purges/{one.id}.json"
    forged = one.to_json().replace(b"a person", b"b person")
    changed = repository.graft(
        repository.commit(head), parents=[head], changes=[purged.change(path, forged)],
        fetch=purged.fetch(forged),
    )  # fmt: skip
    repository.move_refs({"branch/purges": (head, changed.id)}, operation="forge")
    with pytest.raises(CorruptError):
        purges(repository)


def test_two_purges_one_after_the_other_are_followed(purged):
    again = purge(purged.repository, Wanted(samples=["boat_03"]), reason="another")
    assert again.commits
    version = purged.registry.resolve(f"ships@{purged.commits['v2']}")
    assert version.commit.id == purged.registry.resolve("ships@v2").commit.id
    assert [one.reason for one in version.purges] == [REASON, "another"]


# ----------------------------------------------------------------------- doing it again
def test_done_again_it_finds_nothing(purged, wanted):
    again = purge(purged.repository, wanted, reason=REASON)
    assert again.commits == 0
    assert again.record is None
    assert len(purges(purged.repository)) == 1


def test_a_dry_run_changes_nothing_and_says_the_same(world, wanted):
    refs = world.repository.branches(), world.repository.tags()
    told = purge(world.repository, wanted, reason="", dry_run=True)
    assert (world.repository.branches(), world.repository.tags()) == refs
    done = purge(world.repository, wanted, reason=REASON)
    assert (told.rows, told.files, told.commits) == (done.rows, done.files, done.commits)


def test_a_deleted_branch_comes_back_without_the_rows(purged, canary):
    purged.registry.undo("ships", "lost")
    version = purged.registry.resolve("ships@lost")
    ids = version.table("samples", ["id"])["id"].to_pylist()
    assert canary not in ids
    assert "boat_01" in ids


def test_an_undo_cannot_bring_the_rows_back(purged, canary):
    purged.registry.undo("ships", "anna/fix")
    try:
        names = purged.registry.resolve("ships@anna/fix").table("samples")["id"].to_pylist()
    except NotFoundError:
        names = []
    assert canary not in names


# ----------------------------------------------------------------------- other rows
def test_an_annotator_is_forgotten_and_the_samples_stay(world):
    done = purge(world.repository, Wanted(annotator="ann-1"), reason=REASON)
    assert set(done.rows) == {"annotations"}
    version = world.registry.resolve("ships@v2")
    assert version.count("annotations") == 0
    assert version.count("samples") == 4
    assert world.hits(b"ann-1") == []


def test_some_annotations_are_forgotten(world, canary):
    wanted = Wanted(table="annotations", where="sample = 'boat_01'")
    done = purge(world.repository, wanted, reason=REASON)
    assert set(done.rows) == {"annotations"}
    names = world.registry.resolve("ships@v2").table("annotations")["sample"].to_pylist()
    assert sorted(names) == ["boat_02", "boat_03", canary]


def test_one_asset_is_forgotten_and_its_sample_stays(world, canary):
    payload = world.payload()
    done = purge(world.repository, Wanted(samples=[canary], assets=["s2"]), reason=REASON)
    assert set(done.rows) == {"assets", "pixels"}
    version = world.registry.resolve("ships@v2")
    assert canary in version.table("samples")["id"].to_pylist()
    assert canary not in version.table("assets")["sample"].to_pylist()
    assert world.hits(payload) == []


def test_rows_that_matched_in_an_old_commit_only_are_found(world, canary):
    done = purge(world.repository, Wanted(where="target = 7"), reason=REASON)
    assert done.rows
    assert world.hits(canary.encode()) == []


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"where": " "},
        {"table": "pixels", "where": "true"},
        {"annotator": "a", "assets": ["s2"]},
        {"table": "annotations", "where": "true", "assets": ["s2"]},
    ],
)
def test_what_names_nothing_is_refused(said):
    with pytest.raises(InvalidInputError):
        Wanted(**said)


def test_a_reason_must_be_given(world, wanted):
    with pytest.raises(InvalidInputError):
        purge(world.repository, wanted, reason=" ")


# ----------------------------------------------------------------------- other lakes
@pytest.fixture
def other(world, tmp_path):
    """A lake that was copied before anything was purged."""
    shutil.copytree(world.folder / "lake", tmp_path / "other")
    return Registry(lake=lake.connect(str(tmp_path / "other")))


def test_another_lake_comes_to_the_same_commits(world, other, wanted, canary):
    purge(world.repository, wanted, reason=REASON)
    there = other.lake.repository("ships")
    apply(there, purges(world.repository))
    assert there.tags() == world.repository.tags()
    assert there.resolve("main") == world.repository.resolve("main")
    assert canary not in other.resolve("ships@v2").table("samples")["id"].to_pylist()


def test_what_was_applied_once_is_not_applied_again(world, other, wanted):
    purge(world.repository, wanted, reason=REASON)
    there = other.lake.repository("ships")
    assert len(apply(there, purges(world.repository))) == 1
    assert apply(there, purges(world.repository)) == []


def test_a_process_that_forgets_twice_does_not_hold_itself_up(world, other, wanted):
    here, there = world.repository, other.lake.repository("ships")
    purge(here, wanted, reason=REASON)
    purge(here, Wanted(samples=["boat_01"]), reason="another")
    assert len(apply(there, purges(here))) == 2
    pull(other.lake, "ships", origin=world.registry.lake)
    assert purges(there) == purges(here)


def test_lakes_that_forgot_apart_know_both_and_keep_their_records_whole(world, other, wanted):
    here, there = world.repository, other.lake.repository("ships")
    for repository in (here, there):
        repository.delete_branch("derived/v2")
    purge(here, wanted, reason=REASON)
    purge(there, Wanted(samples=["boat_01"]), reason="another")
    with pytest.raises(ConflictError):
        pull(other.lake, "ships", origin=world.registry.lake)
    apply(there, purges(here))
    apply(here, purges(there))
    pull(other.lake, "ships", origin=world.registry.lake)
    assert [one.reason for one in purges(there)] == ["another", REASON]
    assert [one.reason for one in purges(here)] == [REASON, "another"]


def test_a_row_that_only_the_other_lake_has_is_found_by_its_hash(world, other, wanted, canary):
    edit_rows(
        other, "ships@anna/fix", assignments=["target=1"], where=f"id = '{canary}'",
    )  # fmt: skip
    purge(world.repository, wanted, reason=REASON)
    there = other.lake.repository("ships")
    apply(there, purges(world.repository))
    names = other.resolve("ships@anna/fix").table("samples")["id"].to_pylist()
    assert canary not in names


def test_what_was_forgotten_is_refused_when_it_comes_back(purged):
    with pytest.raises(ForgottenError):
        refuse_forgotten(purged.repository, commits=[purged.commits["v2"]])
    (one,) = purges(purged.repository)
    with pytest.raises(ForgottenError):
        refuse_forgotten(purged.repository, objects=[one.objects[0]])
    refuse_forgotten(purged.repository, commits=[purged.commits["v1"]])


def test_finishing_leaves_alone_what_somebody_brought_in_anew(purged):
    assert finish(purged.repository) == 0


def test_a_lake_that_pulls_from_one_that_has_forgotten_forgets_too(world, other, wanted, canary):

    edit_rows(other, "ships@anna/fix", assignments=["target=1"], where=f"id = '{canary}'")
    purge(world.repository, wanted, reason=REASON)
    there = other.lake.repository("ships")
    apply(there, purges(world.repository))
    pull(other.lake, "ships", origin=world.registry.lake)
    assert there.tags() == world.repository.tags()
    assert there.merge_base("purges", world.repository.resolve("purges")) == (
        world.repository.resolve("purges")
    )
    assert canary not in other.resolve("ships@anna/fix").table("samples")["id"].to_pylist()


def test_a_lake_that_has_forgotten_refuses_a_push_of_it(world, other, wanted):

    purge(world.repository, wanted, reason=REASON)
    with pytest.raises((ForbiddenError, ConflictError)):
        push(other.lake, "ships", to=world.registry.lake)


# ------------------------------------------------------------------------ others meanwhile
def test_who_moves_a_branch_meanwhile_is_purged_too(world, wanted, canary, monkeypatch):
    repository, others = world.repository, []
    real = type(repository).move_refs

    def late(self, moves, **said):
        if not others:
            others.append(True)
            with world.registry.draft("ships", "anna/fix").edit("meanwhile") as root:
                (root / "late.md").write_text(f"about {canary}")
        return real(self, moves, **said)

    monkeypatch.setattr(type(repository), "move_refs", late)
    purge(repository, wanted, reason=REASON)
    assert others
    text = repository.read("late.md", at="anna/fix").decode()
    assert text == "about [purged]"
    assert world.hits(canary.encode()) == []


def test_a_process_that_works_on_old_rows_holds_up_only_their_removal(world, wanted, canary):
    repository = world.repository
    with repository.workspace("anna/fix"):
        with pytest.raises(ConflictError, match="no branch or tag leads to"):
            purge(repository, wanted, reason=REASON)
        ids = world.registry.resolve("ships@v2").table("samples")["id"].to_pylist()
        assert canary not in ids
    again = purge(repository, wanted, reason=REASON)
    assert again.finished == 1
    assert world.hits(canary.encode()) == []


def test_what_somebody_held_up_goes_with_the_next_pull(world, other, wanted):
    purge(world.repository, wanted, reason=REASON)
    there, known = other.lake.repository("ships"), purges(world.repository)
    with there.workspace("anna/fix"), pytest.raises(ConflictError, match="running process"):
        apply(there, known)
    assert there.holds(known[0].objects)
    assert apply(there, known) == []
    assert not there.holds(known[0].objects)


def test_a_pending_merge_that_holds_the_rows_goes(world, wanted, canary):
    registry = world.registry
    with registry.draft("ships").edit("start again at v2") as root:
        add_back = registry.resolve("ships@v2").table("annotations").to_pylist()
        rows = [row for row in add_back if row["sample"] == canary]
        store.append(root, world.schema("annotations"), pa.Table.from_pylist(rows))
    world.repository.create_branch("pending/draft/anna", at="anna/fix")
    done = purge(world.repository, wanted, reason=REASON)
    assert done.dropped == ("branch/pending/draft/anna",)
    assert not world.repository.branches("pending/")
    assert world.hits(canary.encode()) == []


def test_files_that_only_a_purged_asset_names_go(world, canary):
    with world.registry.draft("ships").edit("scenes") as root:
        (root / "scenes").mkdir()
        (root / "scenes" / "one.tif").write_bytes(b"scene of the canary")
        (root / "scenes" / "two.tif").write_bytes(b"scene of another")
        rows = [
            {"sample": canary, "asset": "scene", "href": "scenes/one.tif"},
            {"sample": "boat_01", "asset": "scene", "href": "scenes/two.tif"},
        ]
        store.append(root, world.schema("assets"), pa.Table.from_pylist(rows))
    purge(world.repository, Wanted(samples=[canary]), reason=REASON)
    paths = [entry.path for entry in world.repository.entries("draft/anna", "scenes")]
    assert paths == ["scenes/two.tif"]
    assert world.hits(b"scene of the canary") == []


def test_a_clone_in_part_cannot_forget_what_it_left_behind_and_says_so(world, wanted, tmp_path):
    part = lake.init(str(tmp_path / "part"))
    clone(world.registry.lake, "ships", into=part, part=Part(tables=()))
    purge(world.repository, wanted, reason=REASON)
    before = part.repository("ships").tags()
    with pytest.raises(UnavailableError, match="in part"):
        apply(part.repository("ships"), purges(world.repository))
    assert part.repository("ships").tags() == before


def test_a_clone_in_part_can_be_purged_itself(world, wanted, canary, tmp_path):
    part = lake.init(str(tmp_path / "part"))
    clone(world.registry.lake, "ships", into=part, part=Part(tables=()))
    purge(part.repository("ships"), wanted, reason=REASON)
    names = Registry(lake=part).resolve("ships@v2").table("samples")["id"].to_pylist()
    assert canary not in names
    assert "boat_01" in names


# --------------------------------------------------------------------------- bad records
@pytest.fixture
def record(purged):
    (one,) = purges(purged.repository)
    return one


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "other"),
        ("number", "1"),
        ("commits", ["a"]),
        ("commits", {"../../etc": "ab" * 20}),
        ("commits", {"ab" * 20: 7}),
        ("objects", [None]),
        ("keys", {"samples": ["no hex"]}),
        ("salt", "'"),
        ("rows", {"samples": 1.5}),
        ("reason", None),
    ],
)
def test_a_record_of_another_kind_is_refused(record, name, value):
    said = json.loads(record.to_json())
    forged = json.dumps(said | {name: value}).encode()
    if (name, value) == ("reason", None):
        forged = json.dumps({key: one for key, one in said.items() if key != name}).encode()
    with pytest.raises(CorruptError):
        type(record).from_json(forged)


def test_a_record_is_read_as_it_was_written(record):
    assert type(record).from_json(record.to_json()) == record


def test_another_lake_cannot_put_a_commit_in_the_place_of_one_that_stays(world, other, record):
    v1 = world.commits["v1"]
    forged = replace(record, commits={v1: world.repository.resolve("v3")})
    there = other.lake.repository("ships")
    before = there.branches(), there.tags()
    with pytest.raises(CorruptError, match="holds nothing of it"):
        apply(there, [forged])
    assert (there.branches(), there.tags()) == before
