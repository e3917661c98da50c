"""Edits of other tools come back on every lake."""

import orjson
import pyarrow as pa
import shapely

from registry import tables
from registry.catalog import Registry, Spec, edit_rows
from registry.curate.exchange import export, propose
from registry.tables.schemas import ANNOTATIONS, ASSETS, SAMPLES


def fill(root):
    box = shapely.box(10, 50, 11, 51)
    ids = ["a", "b", "c"]
    tables.append(root, SAMPLES, pa.table({"id": ids, "geometry": [box.wkb] * 3}))
    tables.append(
        root,
        ASSETS,
        pa.table({
            "sample": ids,
            "asset": ["image"] * 3,
            "crs": ["EPSG:4326"] * 3,
            "transform": [[0.1, 0.0, 10.0, 0.0, -0.1, 51.0]] * 3,
        }),
    )
    rows = {"id": [f"{one}-1" for one in ids], "sample": ids, "geometry": [box.wkb] * 3}
    tables.append(root, ANNOTATIONS, pa.table({**rows, "frame": ["crs"] * 3}))


def test_an_edit_from_a_file_is_merged_into_what_came_in_meanwhile(any_lake, tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    registry = Registry(lake=any_lake)
    draft = registry.create(Spec(name="ships", licence="MIT"))
    with draft.edit("fill") as root:
        fill(root)
    path = tmp_path / "fix.geojson"
    export(registry, registry.resolve("ships@draft"), "annotations", path)

    edit_rows(
        registry, "ships@draft", table="annotations", assignments=["score=0.5"], where="id='a-1'"
    )
    said = orjson.loads(path.read_bytes())
    said["features"][0]["properties"]["category"] = "Boat"
    path.write_bytes(orjson.dumps(said))
    with propose(registry, "ships@draft", path) as proposal:
        done = proposal.commit("a boat")
    assert (done.inserted, done.updated, done.deleted) == (0, 1, 0)
    rows = registry.resolve("ships@draft").table("annotations").to_pylist()
    first = next(row for row in rows if row["id"] == "a-1")
    assert (first["category"], first["score"]) == ("Boat", 0.5)
    with propose(registry, "ships@draft", path) as proposal:
        assert not proposal.brought.differs
