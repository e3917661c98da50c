"""Annotations of real sets go out to other tools and come back."""

import shutil
import subprocess

import numpy as np
import orjson
import pytest
import shapely

from registry.catalog import connect
from registry.curate.exchange import export, propose
from registry.curate.ingest import SourceOptions, ingest

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]
SETS = {
    "ships": ("eotdl-s2-ships", 44),
    "kampala": ("fair-buildings-kampala", None),
    "trees": ("oam-tcd-trees-coco", None),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory, shared_data):
    from registry import lake

    folder = tmp_path_factory.mktemp("exchange") / "lake"
    lake.init(str(folder))
    registry = connect(str(folder))
    for name, (path, _) in SETS.items():
        ingest(
            registry, str(shared_data / path), into=name, workers=1,
            options=SourceOptions.of(licence="MIT", provider="Lab", time="2020/2022"),
        )  # fmt: skip
    return folder


@pytest.fixture
def registry(home, tmp_path):
    shutil.copytree(home, tmp_path / "lake", symlinks=True)
    return connect(str(tmp_path / "lake"))


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "json", "csv", "parquet"])
@pytest.mark.parametrize("name", SETS)
def test_annotations_that_nobody_edited_are_as_before(registry, tmp_path, name, suffix):
    draft = registry.draft(name)
    done = export(
        registry, registry.resolve(f"{name}@draft"), "annotations", tmp_path / f"out.{suffix}"
    )
    assert done.rows == SETS[name][1] or SETS[name][1] is None
    assert done.rows > 0
    with propose(registry, f"{name}@draft", tmp_path / f"out.{suffix}") as proposal:
        assert proposal.brought.changes.num_rows == 0
        assert proposal.brought.missing == 0
    assert draft.head == registry.draft(name).head


def test_ships_edited_by_two_people_in_two_tools(registry, tmp_path):
    version = registry.resolve("ships@draft")
    registry.branch("ships", "anna", version.commit.id)
    registry.branch("ships", "ben", version.commit.id)
    export(registry, version, "annotations", tmp_path / "anna.geojson")
    export(registry, version, "annotations", tmp_path / "ben.json")

    anna = orjson.loads((tmp_path / "anna.geojson").read_bytes())
    ids = [one["properties"]["id"] for one in anna["features"]]
    for one in anna["features"][:3]:
        ring = np.array(one["geometry"]["coordinates"][0])
        one["geometry"]["coordinates"][0] = np.add(ring, [0.0001, 0]).tolist()
    (tmp_path / "anna.geojson").write_bytes(orjson.dumps(anna))

    ben = orjson.loads((tmp_path / "ben.json").read_bytes())
    ben["categories"].append({"id": 2, "name": "Ferry"})
    rows = {one["attributes"]["eolab_id"]: one for one in ben["annotations"]}
    for key in (ids[0], ids[10]):
        rows[key]["category_id"] = 2
    del rows[ids[20]]
    ben["annotations"] = list(rows.values())
    (tmp_path / "ben.json").write_bytes(orjson.dumps(ben))

    with propose(registry, "ships@anna", tmp_path / "anna.geojson") as proposal:
        assert proposal.commit("shifted by AIS").updated == 3
    with propose(registry, "ships@ben", tmp_path / "ben.json", delete_missing=True) as proposal:
        done = proposal.commit("two ferries, and one that is a buoy")
        assert (done.updated, done.deleted, done.inserted) == (2, 1, 0)
    registry.merge("ships", "ben", "anna")

    was = {row["id"]: row for row in version.table("annotations").to_pylist()}
    now = {
        row["id"]: row for row in registry.resolve("ships@anna").table("annotations").to_pylist()
    }
    assert set(was) - set(now) == {ids[20]}
    assert {key for key in now if now[key]["category"] == "Ferry"} == {ids[0], ids[10]}
    moved = {key for key in now if now[key]["geometry"] != was[key]["geometry"]}
    assert moved == set(ids[:3])
    for key in moved:
        shift = shapely.get_coordinates(shapely.from_wkb(now[key]["geometry"])) - (
            shapely.get_coordinates(shapely.from_wkb(was[key]["geometry"]))
        )
        assert shift == pytest.approx(np.full_like(shift, [0.0001, 0]), abs=1e-12)


if shutil.which("ogr2ogr"):  # GDAL's own programs play the GIS where they are installed

    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            ("gpkg", ["-t_srs", "EPSG:32632"]), ("gpkg", []), ("geojson", ["-lco", "RFC7946=YES"]),
            ("geojson", []), ("csv", ["-lco", "GEOMETRY=AS_WKT"]),
        ],
    )  # fmt: skip
    def test_what_gdal_itself_writes_anew_is_still_the_same(registry, tmp_path, suffix, options):
        export(registry, registry.resolve("ships@draft"), "annotations", tmp_path / "out.gpkg")
        drivers = {"gpkg": "GPKG", "geojson": "GeoJSON", "csv": "CSV"}
        made = tmp_path / f"made.{suffix}"
        subprocess.run(
            ["ogr2ogr", "-f", drivers[suffix], *options, made, tmp_path / "out.gpkg"],
            check=True, capture_output=True,
        )  # fmt: skip
        with propose(registry, "ships@draft", made, table="annotations") as proposal:
            assert proposal.brought.changes.num_rows == 0
            assert proposal.brought.unchanged == 44
