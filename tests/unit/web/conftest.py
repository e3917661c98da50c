"""A small version with scenes, a mask, outlines, a split, a report and a history."""

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import shapely

import registry
from registry import geo
from registry.catalog.card.spec import Spec
from registry.lake import init
from registry.tables import edit, pixels, schemas, store

CARD = """---
name: toy
pretty_name: Toys <of> the land
license: MIT
task: segmentation
authors: [Ada]
classes: [Crop, Forest]
assets:
  s2: {title: Sentinel-2 L2A, bands: [B02, B03, B04], scale: 0.0001, gsd: 10, unit: reflectance}
  mask: {role: labels, values: {0: background, 1: Crop, 2: Forest}}
---
Squares of land & water.
"""
CRS = "EPSG:32632"
EDGE = 24


def grid(number):
    """Return where chip ``number`` lies: a row of chips to the east."""
    transform = (10.0, 0.0, 500_000.0 + 240 * number, 0.0, -10.0, 5_000_000.0)
    return geo.Grid(crs=CRS, transform=transform, height=EDGE, width=EDGE)


def image():
    """Return an array whose values are coordinates, so that no symmetry hides an error."""
    y, x = np.mgrid[0:EDGE, 0:EDGE]
    return np.stack([x, y, 100 + 2 * x + 3 * y]).astype(np.uint16)


def fill(root, count, *, located=True):
    """Write ``count`` samples with all that a page shows into a folder."""
    mask = np.zeros((1, EDGE, EDGE), np.uint8)
    mask[:, :6], mask[:, 18:] = 1, 2
    arrays = [pixels.encode(image()), pixels.encode(mask)]
    samples, assets, notes = [], [], []
    for number in range(count):
        place = grid(number)
        shape = place.footprint() if located else None
        box = geo.bbox_of(shape) if located else None
        centre = box.centre if located else (np.nan, np.nan)
        samples.append({
            "id": f"s{number}",
            "geometry": shapely.to_wkb(shape) if located else None,
            "bbox": box.to_struct() if located else None,
            "datetime": datetime(2024, 1 + number % 3, 9, tzinfo=UTC),
            "label": [("Crop", "Forest")[number % 2]],
            "georeferenced": located,
            "hilbert": int(geo.hilbert_key([centre[0]], [centre[1]])[0]),
        })
        for name, array, dtype, bands in zip(
            ("s2", "mask"), arrays, ("uint16", "uint8"), (3, 1), strict=True
        ):
            assets.append({
                "sample": f"s{number}",
                "asset": name,
                "pixels": array.sha256,
                "shape": [bands, EDGE, EDGE],
                "dtype": dtype,
                "crs": CRS,
                "transform": list(place.transform),
                "times": [],
            })
    notes = [
        {
            "id": "box",
            "sample": "s0",
            "geometry": shapely.to_wkb(shapely.box(4, 6, 10, 12)),
            "frame": "pixel",
            "category": "Crop",
        },
        {
            "id": "field",
            "sample": "s0",
            "geometry": shapely.to_wkb(shapely.box(500_040, 4_999_880, 500_100, 4_999_940)),
            "frame": "crs",
            "category": "Forest",
        },
    ]
    findings = [
        {
            "id": "nan:s0",
            "check": "nan",
            "severity": "warning",
            "sample": "s0",
            "message": "3 values are <NaN>",
            "fix": "fill them",
        }
    ]
    rows = [{"sample": f"s{n}", "subset": "train" if n % 3 else "test"} for n in range(count)]
    for schema, table in (
        (schemas.SAMPLES, samples),
        (schemas.ASSETS, assets),
        (schemas.ANNOTATIONS, notes),
        (schemas.SPLITS, rows),
        (schemas.FINDINGS, findings),
    ):
        store.append(root, schema, pa.Table.from_pylist(table, schema=schema.arrow))
    stored = [dataclasses.asdict(array) for array in arrays]
    wanted = [{name: each[name] for name in ("sha256", "codec", "data")} for each in stored]
    store.append(root, schemas.PIXELS, pa.Table.from_pylist(wanted, schema=schemas.PIXELS.arrow))


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Return the catalog of a lake of its own."""
    folder = tmp_path_factory.mktemp("lake") / "lake"
    init(str(folder))
    return registry.connect(str(folder))


@pytest.fixture(scope="session")
def version(lab):
    """Return a draft of eight samples with everything that a page shows."""
    draft = lab.create(Spec.from_readme(CARD))
    with draft.edit("bring <eight> chips") as root:
        fill(root, 8)
    return lab.resolve(f"toy@{draft.branch}")


@pytest.fixture(scope="session")
def empty(lab):
    """Return a draft without tables."""
    draft = lab.create(Spec.from_readme("---\nname: nothing\n---\n"))
    return lab.resolve(f"nothing@{draft.branch}")


@pytest.fixture(scope="session")
def placeless(lab):
    """Return a draft whose samples have no footprint."""
    draft = lab.create(Spec.from_readme("---\nname: placeless\n---\n"))
    with draft.edit("bring chips from nowhere") as root:
        fill(root, 2, located=False)
    return lab.resolve(f"placeless@{draft.branch}")


HOSTILE = "<script>alert('x')</script>"


def change(root):
    """Change some of every table that a page of differences shows."""
    rows = [
        {"id": "box", "category": HOSTILE},
        {"id": "field", "geometry": shapely.box(500_060, 4_999_880, 500_120, 4_999_940).wkb},
    ]
    for row in rows:
        _upsert(root, schemas.ANNOTATIONS, row)
    fresh = {"id": "new", "sample": "s1", "frame": "pixel", "category": "Crop"}
    store.append(root, schemas.ANNOTATIONS, _table(schemas.ANNOTATIONS, fresh | {
        "geometry": shapely.to_wkb(shapely.box(2, 2, 6, 6)),
    }))  # fmt: skip
    painted = image()
    painted[:, 4:8, 4:12] += 50
    packed = pixels.encode(painted)
    stored = {name: getattr(packed, name) for name in ("sha256", "codec", "data")}
    store.append(root, schemas.PIXELS, _table(schemas.PIXELS, stored))
    _upsert(root, schemas.ASSETS, {"sample": "s2", "asset": "s2", "pixels": packed.sha256})
    _upsert(root, schemas.SAMPLES, {"id": "s3", "label": ["Forest & water"]})
    for table, column in (("assets", "sample"), ("splits/default", "sample"), ("samples", "id")):
        edit.delete(root, table, where=f"{column} = 's4'")
    card = (root / "README.md").read_text("utf-8")
    (root / "README.md").write_text(card.replace("license: MIT", "license: CC0-1.0"), "utf-8")
    (root / "notes.txt").write_text("looked again", "utf-8")


def _table(schema, row):
    return pa.Table.from_pylist([row], schema=pa.schema([schema.arrow.field(n) for n in row]))


def _upsert(root, schema, row):
    edit.upsert(root, schema, _table(schema, row))


@pytest.fixture(scope="session")
def differing(lab, version):
    """Return what a branch changed in everything that a page shows."""
    draft = lab.branch("toy", "fix", version.commit.id)
    with draft.edit("look <again>") as root:
        change(root)
    return lab.diff(f"toy@{version.commit.id}", "toy@fix")
