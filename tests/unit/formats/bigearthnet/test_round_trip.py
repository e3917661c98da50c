"""What was read is written as it came, and what was written is read as it was."""

import json
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio

from registry.curate.checkout import checkout
from registry.curate.publishing import publish
from registry.errors import InvalidInputError
from registry.tables import edit
from registry.tables.schemas import samples_schema


def content(folder):
    """Return pixels and header of every raster of a folder, by its path."""
    found = {}
    for path in sorted(folder.rglob("*.tif*")):
        with rasterio.open(path) as file:
            found[str(path.relative_to(folder))] = (
                file.read().tobytes(), file.dtypes, file.shape, file.crs,
                tuple(file.transform), file.nodata, file.descriptions, file.tags(),
            )  # fmt: skip
    return found


def rows(version, table, *left_out):
    found = version.table(table)
    kept = [name for name in found.column_names if name not in left_out]
    return sorted(found.select(kept).to_pylist(), key=str)


def same(one, other):
    """Compare two versions by all that a source says."""
    for table in ("samples", "splits/official"):
        assert rows(one, table, "source") == rows(other, table, "source")
    assert rows(one, "assets", "tags") == rows(other, "assets", "tags")
    assert one.spec.classes == other.spec.classes
    assert one.spec.assets == other.spec.assets


def test_official_trees_come_back_byte_for_byte_with_place_and_metadata(
    trees, bring, registry, tmp_path
):
    before = bring(trees, "ben")
    report = checkout(before, tmp_path / "out", "bigearthnet")
    assert content(tmp_path / "out") == content(trees)
    assert (report.rasters, report.lost_tags) == (3 * 15, ())
    wrote, came = (pq.read_table(root / "metadata.parquet") for root in (tmp_path / "out", trees))
    assert set(wrote.column_names) == set(came.column_names)
    assert wrote.sort_by("patch_id").select(came.column_names).equals(came.sort_by("patch_id"))
    same(before, bring(tmp_path / "out", "again"))


def test_stacked_patches_come_back(stacked, bring, tmp_path):
    before = bring(stacked, "ben")
    checkout(before, tmp_path / "out", "bigearthnet")
    assert content(tmp_path / "out") == content(stacked)
    same(before, bring(tmp_path / "out", "again"))


def test_a_stated_place_outlives_a_file_that_contradicts_it(stacked, bring, make, tmp_path):
    said = json.loads((stacked / "metadata.json").read_text())
    for number, row in enumerate(said):
        (stacked / row["patch_id"] / "s1.tif").unlink()
        make.band(stacked / row["patch_id"] / "s2.tif", number=number, band=0, count=12, pixel=60)
        row |= {
            "crs": "EPSG:32633", "raster_shape": [12, 12],
            "geotransform": [390_000.0 + 1_200 * number, 10, 0, 5_348_400.0, 0, -10],
        }  # fmt: skip
    (stacked / "metadata.json").write_text(json.dumps(said))
    before = bring(stacked, "ben")
    checkout(before, tmp_path / "out", "bigearthnet")
    same(before, bring(tmp_path / "out", "again"))


def test_the_version_is_checked_published_and_given_as_plain_files(
    trees, bring, registry, tmp_path, make
):
    bring(trees, "ben")
    version = publish(registry, "ben", message="as it came")
    checkout(version, tmp_path / "files", "files")
    s2 = make.patch(1)[0]
    (path,) = (tmp_path / "files").rglob(f"s2_20m/**/{s2}.tif")
    bands = [next(trees.rglob(f"{s2}_{band}.tif")) for band in version.spec.assets["s2_20m"].bands]
    with rasterio.open(path) as file:
        for number, band in enumerate(bands, 1):
            with rasterio.open(band) as came:
                np.testing.assert_array_equal(file.read(number), came.read(1))


def test_corrected_labels_and_subsets_are_in_the_metadata(trees, bring, registry, tmp_path, make):
    bring(trees, "ben")
    s2 = make.patch(1)[0]
    with registry.draft("ben").edit("correct a patch") as root:
        edit.update(root, "samples", set={"label": "['Arable land']"}, where=f"id = '{s2}'")
        edit.update(
            root, "splits/official", set={"subset": "'test:islands'"}, where=f"sample = '{s2}'"
        )
    draft = registry.resolve("ben@draft")
    checkout(draft, tmp_path / "out", "bigearthnet")
    said = {row["patch_id"]: row
            for row in pq.read_table(tmp_path / "out/metadata.parquet").to_pylist()}  # fmt: skip
    assert (said[s2]["labels"], said[s2]["split"]) == (["Arable land"], "test_islands")
    same(draft, bring(tmp_path / "out", "again"))


@pytest.mark.parametrize("name", ["../../../tmp/x", "S1A_x", "", None])
def test_a_radar_name_that_is_none_does_not_decide_where_files_go(
    trees, bring, registry, tmp_path, make, name
):
    bring(trees, "ben")
    s2 = make.patch(1)[0]
    rows = registry.resolve("ben@draft").table("samples")
    row = rows.filter(np.array(rows["id"].to_pylist()) == s2).to_pylist()[0]
    row["properties"]["s1_name"] = name
    schema = samples_schema(rows.schema.field("properties").type)
    with registry.draft("ben").edit("rename") as root:
        edit.upsert(root, schema, pa.Table.from_pylist([row], schema=schema.arrow))
    checkout(registry.resolve("ben@draft"), tmp_path / "out", "bigearthnet")
    written = [path.relative_to(tmp_path / "out").as_posix()
               for path in (tmp_path / "out").rglob(f"{s2}_V?.tif")]  # fmt: skip
    assert all(path.startswith("BigEarthNet-S1/") for path in written)
    assert len(written) == 2


def test_two_patches_cannot_be_one_file(trees, bring, registry, tmp_path, make):
    bring(trees, "ben")
    rows = registry.resolve("ben@draft").table("samples")
    schema = samples_schema(rows.schema.field("properties").type)
    changed = rows.to_pylist()
    for row in changed:
        row["properties"]["s1_name"] = make.patch(0)[1]
    with registry.draft("ben").edit("confuse") as root:
        edit.upsert(root, schema, pa.Table.from_pylist(changed, schema=schema.arrow))
    with pytest.raises(InvalidInputError, match="two samples would be"):
        checkout(registry.resolve("ben@draft"), tmp_path / "out", "bigearthnet")
    assert not (tmp_path / "out").exists()


def test_what_is_no_patch_cannot_be_written_as_one(bring, tmp_path, make):
    for number in range(2):
        make.band(tmp_path / "other" / f"chip_{number}.tif", number=number, band=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        draft = bring(tmp_path / "other", "other")
    with pytest.raises(InvalidInputError, match="no name of a patch"):
        checkout(draft, tmp_path / "out", "bigearthnet")
