"""Real patches of BigEarthNet: what is known of them is found, and they come back as they came."""

import json
from collections import Counter

import numpy as np
import pytest
import rasterio

from registry.curate.checkout import checkout
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.publishing import publish
from registry.curate.quality import check

pytestmark = pytest.mark.real

STACKED, OFFICIAL = "bigearthnet-v2", "bigearthnet-official-layout"


@pytest.fixture(scope="module")
def drafted(lab, shared_data):
    done = {}

    def bring(path, into):
        if into not in done:
            said = SourceOptions(licence="CDLA-Permissive-1.0", provider="BIFOLD")
            source = shared_data / path if isinstance(path, str) else path
            done[into] = ingest(lab, source, into=into, options=said, workers=2)
        assert done[into].format == "bigearthnet"
        return lab.resolve(f"{into}@draft")

    return bring


def wrapped_files(folder):
    found = set()
    for path in folder.glob("*/s1.tif"):
        with rasterio.open(path) as file:
            if file.dtypes[0] == "uint16" and (file.read() > 60_000).mean() > 0.99:
                found.add(path.parent.name)
    return found


def pixels(path):
    with rasterio.open(path) as file:
        header = (file.dtypes, file.crs, tuple(file.transform), file.nodata, file.tags())
        return file.read().tobytes(), *header


def test_twenty_five_patches_have_labels_a_split_and_a_place(drafted):
    draft = drafted(STACKED, "ben-stacked")
    samples = draft.table("samples")
    assert samples["label"].null_count == samples["datetime"].null_count == 0
    assert len({label for row in samples["label"].to_pylist() for label in row}) == 15
    assert len(draft.spec.classes) == 19
    subsets = Counter(draft.table("splits/official")["subset"].to_pylist())
    assert subsets == {"train": 13, "validate": 6, "test": 6}
    countries = Counter(row["country"] for row in samples["properties"].to_pylist())
    assert countries == {"Finland": 9, "Serbia": 6, "Ireland": 4, "Lithuania": 3, "Portugal": 3}
    widths = [box["xmax"] - box["xmin"] for box in samples["bbox"].to_pylist()]
    assert max(widths) < 0.03  # 1.2 km, although every s2.tif says 7.2 km


def test_wrapped_decibels_are_found_to_the_sample(drafted, shared_data, lab):
    drafted(STACKED, "ben-stacked")
    report = check(lab.resolve("ben-stacked@draft"))
    rows = report.findings.to_pylist()
    wrapped = [row for row in rows if row["check"] == "wrapped"]
    assert {row["sample"] for row in wrapped} == wrapped_files(shared_data / STACKED)
    assert len(wrapped) == 8
    shares = [json.loads(row["evidence"]) for row in wrapped]
    assert all(one["top"] / one["elements"] > 0.99 for one in shares)
    at_ingest = Counter(row["message"].partition("(")[2].partition(")")[0]
                        for row in rows if row["check"] == "ingest")  # fmt: skip
    assert at_ingest == {"mixed-types": 8, "contradicted-grid": 25}


@pytest.mark.parametrize(("path", "name"), [(STACKED, "ben-stacked"), (OFFICIAL, "ben-official")])
def test_real_patches_come_back_and_are_read_again_as_they_were(
    drafted, shared_data, tmp_path, path, name
):
    draft = drafted(path, name)
    report = checkout(draft, tmp_path / "out", "bigearthnet")
    assert report.lost_tags == ()
    came = {file.stem if path == OFFICIAL else f"{file.parent.name}/{file.stem}": file
            for file in (shared_data / path).rglob("*.tif*")}  # fmt: skip
    wrote = {file.stem if path == OFFICIAL else f"{file.parent.name}/{file.stem}": file
             for file in (tmp_path / "out").rglob("*.tif")}  # fmt: skip
    assert wrote.keys() == came.keys()
    assert report.rasters == len(came)
    for key, file in came.items():
        assert pixels(wrote[key]) == pixels(file)
    again = drafted(tmp_path / "out", f"{name}-again")
    for table in ("samples", "assets"):
        left = draft.table(table).column_names
        left = [one for one in left if one not in {"source", "tags"}]
        ours, theirs = (each.table(table).select(left) for each in (draft, again))
        assert sorted(ours.to_pylist(), key=str) == sorted(theirs.to_pylist(), key=str)


def test_patches_of_the_official_layout_are_all_halves_of_pairs(drafted, lab):
    draft = drafted(OFFICIAL, "ben-official")
    assets = Counter(draft.table("assets")["asset"].to_pylist())
    assert assets == {"s2_10m": 3, "s2_20m": 3, "s2_60m": 3, "s1": 4, "reference_map": 1}
    halves = [row for row in draft.table("reports/ingest").to_pylist()
              if row["check"] == "missing-pair"]  # fmt: skip
    assert len({row["sample"] for row in halves}) == len(halves) == draft.count("samples") == 8
    s2 = "S2A_MSIL2A_20180526T100031_N9999_R122_T34WFU_14_23"
    assert [draft.chip(s2, f"s2_{gsd}m").shape for gsd in (10, 20, 60)] == [
        (4, 120, 120), (6, 60, 60), (2, 20, 20),
    ]  # fmt: skip
    (code,) = {row["sample"] for row in draft.table("assets").to_pylist()
               if row["asset"] == "reference_map"}  # fmt: skip
    values = set(np.unique(draft.chip(code, "reference_map")).tolist())
    assert values <= set(draft.spec.assets["reference_map"].values)


def test_real_patches_pass_their_checks(lab, drafted):
    drafted(STACKED, "ben-stacked")
    version = publish(lab, "ben-stacked", message="as it came")
    assert (version.count("samples"), version.count("splits/official")) == (25, 25)
