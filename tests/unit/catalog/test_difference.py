import pyarrow as pa
import pytest
import shapely

from registry import tables
from registry.catalog.comparing.difference import systems_of
from registry.errors import InvalidInputError, NotFoundError
from registry.tables import edit, store
from registry.tables.errors import DuplicateKeyError
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES


def rows(schema, *listed):
    names = list(dict.fromkeys(name for row in listed for name in row))
    kinds = pa.schema([schema.arrow.field(name) for name in names])
    return pa.Table.from_pylist(list(listed), schema=kinds)


@pytest.fixture
def chips():
    import numpy as np

    return [tables.encode(np.full((1, 4, 4), n, np.uint8)) for n in range(3)]


@pytest.fixture
def harbour(ships, chips):
    """A branch with three samples, each with a chip and a boat, and a copy of the branch."""
    draft = ships.branch("ships", "before")
    with draft.edit("three") as root:
        store.append(root, SAMPLES, rows(SAMPLES, *({"id": f"s{n}"} for n in range(3))))
        packed = [{k: getattr(c, k) for k in ("sha256", "codec", "data")} for c in chips]
        store.append(root, PIXELS, rows(PIXELS, *packed))
        store.append(root, ASSETS, rows(ASSETS, *(
            {"sample": f"s{n}", "asset": "s2", "pixels": chip.sha256, "crs": "EPSG:32632"}
            for n, chip in enumerate(chips)
        )))  # fmt: skip
        store.append(root, ANNOTATIONS, rows(ANNOTATIONS, *(boat(n) for n in range(3))))
    return ships.branch("ships", "after", "before")


def boat(number, key=None, sample=None):
    box = shapely.box(number, 0, number + 2, 2).wkb
    name = sample or f"s{number}"
    return {"id": key or f"a{number}", "sample": name, "geometry": box, "frame": "crs"}


def diff(registry, *names):
    return registry.diff("ships@before", "ships@after", names or None)


def test_equal_refs_say_that_they_are_the_same(ships, harbour):
    found = diff(ships)

    assert not found
    assert found.to_text() == "ships@before and ships@after are the same"


def test_tables_card_and_files_are_said(ships, harbour):
    with harbour.edit("all of it") as root:
        edit.upsert(root, SAMPLES, rows(SAMPLES, {"id": "s0", "label": ["ferry"]}))
        card = (root / "README.md").read_text("utf-8")
        text = card.replace("license: MIT", "license: CC0-1.0\ntask: detection") + "\nmore\n"
        (root / "README.md").write_text(text, "utf-8")
        (root / "notes.txt").write_text("x", "utf-8")

    found = diff(ships)

    assert list(found.tables) == ["samples"]
    assert {(one.key, one.before, one.after) for one in found.card if one.key != "body"} == {
        ("license", "MIT", "CC0-1.0"),
        ("task", None, "detection"),
    }
    assert [(change.path, change.kind) for change in found.files] == [("notes.txt", "added")]
    assert found.to_text().splitlines()[:2] == [
        "samples: 1 updated",
        "  updated s0  label: nothing → ['ferry']",
    ]


def test_only_the_tables_that_were_named_are_compared(ships, harbour):
    with harbour.edit("two") as root:
        edit.upsert(root, SAMPLES, rows(SAMPLES, {"id": "s0", "label": ["ferry"]}))
        edit.delete(root, "annotations", where="id = 'a0'")

    assert list(diff(ships, "annotations").tables) == ["annotations"]
    assert diff(ships, "pixels").tables == {}
    with pytest.raises(NotFoundError, match="nothing"):
        diff(ships, "nothing")


def test_a_table_that_one_ref_does_not_have_came_whole(ships, harbour):
    found = ships.diff("ships@main", "ships@before")

    assert {name: table.inserted for name, table in found.tables.items()} == {
        "annotations": 3, "assets": 3, "pixels": 3, "samples": 3,
    }  # fmt: skip
    assert ships.diff("ships@before", "ships@main", ["samples"]).tables["samples"].deleted == 3


def test_two_datasets_are_not_compared(registry, ships):
    from registry.catalog import Spec

    registry.create(Spec(name="boats"))

    with pytest.raises(InvalidInputError, match="two datasets"):
        registry.diff("ships@main", "boats@main")


def test_outlines_are_measured_in_the_system_of_their_sample(ships, harbour):
    with harbour.edit("moved") as root:
        moved = {"id": "a1", "geometry": shapely.box(4, 4, 6, 6).wkb}
        edit.upsert(root, ANNOTATIONS, rows(ANNOTATIONS, moved))

    assert "geometry: IoU 0.00, moved 5 m" in diff(ships).to_text()
    version = ships.resolve("ships@after")
    assert systems_of(version, ["s1", "zz"]) == {"s1": "EPSG:32632"}


# -------------------------------------------------------------------- renames
def test_a_sample_that_goes_by_another_id_with_the_same_pixels_is_renamed(ships, harbour, chips):
    with harbour.edit("renamed") as root:
        for table, column in (("annotations", "sample"), ("assets", "sample"), ("samples", "id")):
            edit.delete(root, table, where=f"{column} = 's1'")
        store.append(root, SAMPLES, rows(SAMPLES, {"id": "harbour"}, {"id": "new"}))
        pointer = {"sample": "harbour", "asset": "s2", "pixels": chips[1].sha256}
        store.append(root, ASSETS, rows(ASSETS, pointer | {"crs": "EPSG:32632"}))
        store.append(root, ANNOTATIONS, rows(ANNOTATIONS, boat(1, "renamed", "harbour")))

    found = diff(ships)

    assert [(one.table, one.before, one.after) for one in found.renames] == [
        ("samples", ("s1",), ("harbour",)),
        ("annotations", ("a1",), ("renamed",)),
    ]
    assert "renamed s1 → harbour" in found.to_text()


def test_content_that_several_rows_share_is_no_rename(ships, harbour):
    with harbour.edit("again") as root:
        twins = (boat(1, "twin", "s0"), boat(1, "twin2", "s0"))
        store.append(root, ANNOTATIONS, rows(ANNOTATIONS, *twins))
        edit.delete(root, "annotations", where="id = 'a1'")

    assert diff(ships).renames == ()


# ----------------------------------------------------------------- bad tables
def test_a_table_that_cannot_be_compared_is_said_beside_the_others(ships, harbour):
    from deltalake import DeltaTable, write_deltalake

    with harbour.edit("doubled by another program") as root:
        folder = root / "annotations"
        held = DeltaTable(folder).to_pyarrow_table()
        twice = pa.concat_tables([held, held.slice(0, 1)])
        write_deltalake(folder, twice, mode="overwrite")
        edit.upsert(root, SAMPLES, rows(SAMPLES, {"id": "s0", "label": ["ferry"]}))

    found = diff(ships)

    assert list(found.tables) == ["samples"]
    assert "two rows" in found.uncompared["annotations"]
    assert "annotations: changed, but" in found.to_text()
    with pytest.raises(DuplicateKeyError):
        diff(ships, "annotations")


def test_a_card_that_cannot_be_read_is_compared_as_text(ships, harbour):
    with harbour.edit("broken") as root:
        (root / "README.md").write_text("---\n: [\n---\n", "utf-8")

    assert "body" in {one.key for one in diff(ships).card}
