"""A clone that left rows at its origin: whoever reads them gets them, and nobody reads nothing."""

import shutil

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry import query
from registry.catalog import Registry, Spec
from registry.catalog.editing import edit_rows
from registry.errors import InvalidInputError, NotFoundError, UnavailableError
from registry.lake import lazy
from registry.lake.transfer import Part, clone, pull, push
from registry.query.fetching import fetch_slice
from registry.stac import items
from registry.tables import store
from registry.tables.chips import ChipIndex
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES

NUMBERS = range(6)


def chip(number):
    return (np.arange(2 * 3 * 4, dtype=np.uint16) + 100 * number).reshape(2, 3, 4)


def sample(number):
    box = shapely.box(4 + number, 50, 5 + number, 51)
    bounds = dict(zip(("xmin", "ymin", "xmax", "ymax"), box.bounds, strict=True))
    return {
        "id": f"s{number}", "geometry": shapely.to_wkb(box), "bbox": bounds, "hilbert": number,
        "label": ["sea"], "georeferenced": True, "declared": [],
    }  # fmt: skip


def fill(root):
    packed = [encode(chip(number)) for number in NUMBERS]
    for schema, rows in {
        SAMPLES: [sample(number) for number in NUMBERS],
        PIXELS: [{"sha256": p.sha256, "codec": p.codec, "data": p.data} for p in packed],
        ASSETS: [
            {
                "sample": f"s{number}", "asset": "s2", "pixels": p.sha256, "shape": [2, 3, 4],
                "dtype": "uint16", "nodata": 0.0, "times": [],
            }
            for number, p in enumerate(packed)
        ],
        ANNOTATIONS: [
            {
                "id": "a1", "sample": "s1", "frame": "pixel", "category": "ship",
                "geometry": shapely.to_wkb(shapely.box(1, 1, 2, 2)),
            }
        ],
    }.items():  # fmt: skip
        store.create(root, schema)
        store.append(root, schema, pa.Table.from_pylist(rows, schema.arrow))


@pytest.fixture
def whole(home, ungated, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "ann")
    monkeypatch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")
    registry = Registry(lake=home)
    ungated(registry, registry.create(Spec(name="ships")), fill)
    return registry


@pytest.fixture
def thin(whole, home, away):
    """The same dataset, all of whose rows were left where they are."""
    gone = clone(home, "ships", into=away, part=Part(tables=()))
    assert gone.left > 0
    return Registry(lake=away)


def data_files(root):
    return sorted(file for file in root.rglob("*.parquet") if "_delta_log" not in file.parts)


DOORS = {
    "read": lambda registry: registry.resolve("ships@v1").table("samples"),
    "read the columns of a few": lambda registry: registry.resolve("ships@v1").table(
        "assets", columns=["sample", "pixels"]
    ),
    "stream": lambda registry: registry.resolve("ships@v1").scan("samples").read_all(),
    "load a chip": lambda registry: registry.resolve("ships@v1").chip("s3", "s2").tolist(),
    "read chips": lambda registry: [
        one.data
        for one in ChipIndex.open(registry.resolve("ships@v1").root).read([
            encode(chip(number)).sha256 for number in NUMBERS
        ])
    ],
    "ask by SQL": lambda registry: query.sql(
        registry, 'select id, label from "ships@v1".samples order by id'
    ).read_all(),
    "ask for chips": lambda registry: query.sql(
        registry, 'select sample, md5(chip::varchar) from "ships@v1".chips order by sample'
    ).read_all(),
    "compare": lambda registry: str(registry.diff("ships@v1", "ships@main").tables),
    "make items": lambda registry: [one["id"] for one in items(registry.resolve("ships@v1"))],
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_touched_is_fetched_and_is_what_it_was(whole, thin, door):
    root = thin.resolve("ships@v1").root.path
    assert data_files(root)
    assert all(lazy.is_placeholder(file) for file in data_files(root))
    assert DOORS[door](thin) == DOORS[door](whole)
    assert list(thin.lake.repository("ships").fsck()) == []


def test_counting_rows_fetches_nothing(thin):
    version = thin.resolve("ships@v1")
    assert [version.count(table) for table in version.tables()] == [1, 6, 6, 6]
    assert all(lazy.is_placeholder(file) for file in data_files(version.root.path))


def test_an_edit_fetches_the_file_it_changes_and_commits_no_placeholder(whole, thin):
    for registry in (whole, thin):
        edited = edit_rows(
            registry, "ships", assignments=["label=['ship']"], where="id = 's2'", message="seen"
        )
        assert edited.rows == 1
    mine, theirs = (r.resolve("ships@draft") for r in (thin, whole))
    assert mine.table("samples").sort_by("id") == theirs.table("samples").sort_by("id")
    assert mine.content_id_of("pixels") == theirs.content_id_of("pixels")
    pixels = [f for f in data_files(mine.root.path) if "pixels" in f.parts]
    assert all(lazy.is_placeholder(file) for file in pixels)
    assert list(thin.lake.repository("ships").fsck()) == []


def test_branches_merge_by_row_in_a_partial_clone(whole, thin):
    for registry in (whole, thin):
        registry.branch("ships", "one")
        registry.branch("ships", "two")
        for name, label in (("one", "ship"), ("two", "port")):
            where = f"id = 's{1 if name == 'one' else 2}'"
            edit_rows(registry, f"ships@{name}", assignments=[f"label=['{label}']"], where=where)
        registry.merge("ships", "two", "one")
    rows = [r.resolve("ships@one").table("samples").sort_by("id") for r in (thin, whole)]
    assert rows[0] == rows[1]
    assert [row["label"] for row in rows[0].to_pylist()[:3]] == [["sea"], ["ship"], ["port"]]


def test_a_file_that_was_not_fetched_cannot_be_stored_under_another_name(thin):
    repository = thin.lake.repository("ships")
    repository.create_branch("work", at="main")
    with repository.workspace("work") as workspace:
        (first, *_) = data_files(workspace.path)
        first.rename(first.with_name("moved.parquet"))
        with pytest.raises(InvalidInputError, match="not fetched"):
            workspace.commit("moved")
    with repository.workspace("work") as workspace:
        (first, *_) = data_files(workspace.path)
        with repository.transaction("work", message="as a file") as transaction:
            stored = transaction.put_file("copy.parquet", first)
    assert stored.sha256 == repository.entry("copy.parquet", at="work").sha256
    assert stored.sha256 in {entry.sha256 for entry in repository.entries("main")}


def test_an_untouched_workspace_commits_nothing(thin):
    repository = thin.lake.repository("ships")
    repository.create_branch("work", at="main")
    with repository.workspace("work") as workspace:
        assert workspace.commit("nothing").id == repository.resolve("main")
        lazy.ensure(*data_files(workspace.path))
        assert workspace.commit("nothing either").id == repository.resolve("main")
        (workspace.path / "notes.md").write_text("mine")
        made = workspace.commit("a note")
    changed = [change.path for change in repository.diff("main", made.id)]
    assert changed == ["notes.md"]
    assert list(repository.fsck()) == []


def test_a_mounted_copy_is_whole(whole, thin, tmp_path):
    thin.lake.repository("ships").mount("v1", tmp_path / "thin")
    whole.lake.repository("ships").mount("v1", tmp_path / "whole")
    files = [file.relative_to(tmp_path / "whole") for file in data_files(tmp_path / "whole")]
    assert files
    for file in files:
        assert (tmp_path / "thin" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_chosen_tables_come_at_once_and_later_pulls_keep_to_them(whole, home, away):
    clone(home, "ships", into=away, part=Part(tables=("samples",)))
    root = Registry(lake=away).resolve("ships@v1").root.path
    left = {
        file.relative_to(root).parts[0] for file in data_files(root) if lazy.is_placeholder(file)
    }
    assert left == {"annotations", "assets", "pixels"}
    draft = whole.draft("ships")
    with draft.edit("one more") as folder:
        more = [{"sha256": p.sha256, "codec": p.codec, "data": p.data} for p in [encode(chip(9))]]
        store.append(folder, PIXELS, pa.Table.from_pylist(more, PIXELS.arrow))
    repository = whole.lake.repository("ships")
    repository.advance("main", to=draft.head, expected=repository.resolve("main"))
    come = pull(away, "ships", origin=home)
    assert come.left > 0
    chips = ChipIndex.open(Registry(lake=away).resolve("ships@main").root)
    assert chips.has([encode(chip(9)).sha256]).all()


def test_a_table_that_is_not_there_is_said_before_anything_is_fetched(whole, home, away):
    with pytest.raises(NotFoundError, match="has no table 'sample'"):
        clone(home, "ships", into=away, part=Part(tables=("sample",)))
    assert away.repositories() == []


def test_a_slice_comes_with_the_pixels_it_needs(whole, home, away):
    cut = query.slice(whole, """select id from "ships@v1".samples where id in ('s1', 's4')""")
    clone(home, "ships", into=away, part=Part(without=("pixels",)))
    here = Registry(lake=away)
    assert fetch_slice(here, query.find_slice(here, cut.id)) == 1
    root = here.resolve("ships@v1").root.path
    assert not any(lazy.is_placeholder(file) for file in data_files(root))


def test_what_was_left_goes_on_to_a_third_lake(whole, thin, home, away, tmp_path):
    from registry import lake

    third = lake.init(str(tmp_path / "third"))
    push(away, "ships", to=third)
    for file in data_files(Registry(lake=third).resolve("ships@v1").root.path):
        assert not lazy.is_placeholder(file)
    assert list(third.repository("ships").fsck()) == []


def test_garbage_collection_and_refs_leave_promises_alone(thin):
    from datetime import timedelta

    repository = thin.lake.repository("ships")
    repository.gc(grace=timedelta(0))
    repository.create_branch("work", at="v1")
    repository.reset("work", to="main")
    repository.create_tag("v2", at="main")
    assert list(repository.fsck()) == []
    assert thin.resolve("ships@v2").table("samples").num_rows == len(NUMBERS)


def test_an_origin_that_is_gone_is_said(whole, thin, home):
    shutil.move(home.folder, home.folder.with_name("elsewhere"))
    with pytest.raises(UnavailableError, match="does not give them") as error:
        thin.resolve("ships@v1").table("samples")
    assert "origin" in error.value.hint
    shutil.move(home.folder.with_name("elsewhere"), home.folder)
    assert thin.resolve("ships@v1").table("samples").num_rows == len(NUMBERS)
