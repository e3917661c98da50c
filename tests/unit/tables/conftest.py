"""Small tables with everything in them."""

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry import tables
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, samples_schema

PROPERTIES = pa.struct([("eo:cloud_cover", pa.float64()), ("orbit", pa.string())])


@pytest.fixture
def schema():
    return samples_schema(PROPERTIES)


@pytest.fixture
def chips():
    return [tables.encode(np.full((2, 4, 4), n, np.uint16)) for n in range(6)]


@pytest.fixture
def root(tmp_path, schema, chips):
    """Six samples, each with one chip and one annotation."""
    folder = tmp_path / "dataset"
    ids = [f"Forest_{n}" for n in range(6)]
    tables.append(
        folder,
        schema,
        pa.table({
            "id": ids,
            "geometry": [shapely.box(n, 50, n + 1, 51).wkb for n in range(6)],
            "label": [["Forest"]] * 6,
            "properties": [{"eo:cloud_cover": float(n), "orbit": "up"} for n in range(6)],
        }),
    )
    tables.append(folder, PIXELS, pixel_rows(chips))
    tables.append(
        folder,
        ASSETS,
        pa.table({
            "sample": ids,
            "asset": ["s2"] * 6,
            "pixels": [chip.sha256 for chip in chips],
            "shape": [list(chip.shape) for chip in chips],
            "dtype": [chip.dtype for chip in chips],
        }),
    )
    box = shapely.box(0, 0, 2, 2).wkb
    tables.append(
        folder,
        ANNOTATIONS,
        pa.table({"id": [f"a{n}" for n in range(6)], "sample": ids, "geometry": [box] * 6}),
    )
    return folder


def pixel_rows(chips):
    columns = ("sha256", "codec", "data")
    return pa.table({name: [getattr(chip, name) for chip in chips] for name in columns})
