"""Small datasets whose pixels say whose they are, on lakes of their own."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import shapely

from registry.catalog import Spec
from registry.catalog.registry import Registry
from registry.lake import init
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES, splits_schema

BANDS, SIDE = 2, 8


def chip(number, *, bands=BANDS, side=SIDE, dtype=np.uint16):
    """Every value says which sample, band, row and column it is of."""
    place = np.arange(bands * side * side).reshape(bands, side, side)
    return (place + 1 + 200 * number).astype(dtype)


def sample(number, **more):
    """One sample as a dictionary: arrays by asset, and what the tables say."""
    return {"id": f"s{number:05d}", "arrays": {"s2": chip(number)}, "hilbert": number} | more


def write(root, samples, *, splits=(), annotations=(), batch=None):
    """Write tables; arrays of a sample lie side by side, in the order of samples.

    Args:
        root: The draft's folder.
        samples: What ``sample`` made.
        splits: By name of the table, subsets (or subset and fold) by sample.
        annotations: Rows.
        batch: Samples of one data file of pixels; all in one if None.
    """
    for schema in (SAMPLES, ASSETS, PIXELS):
        store.create(root, schema)
    step = batch or len(samples)
    for start in range(0, len(samples), step):
        packed = [row for one in samples[start : start + step] for row in _pixels(one)]
        store.append(root, PIXELS, pa.Table.from_pylist(packed, PIXELS.arrow))
    store.append(root, SAMPLES, pa.Table.from_pylist([_row(one) for one in samples], SAMPLES.arrow))
    assets = [row for one in samples for row in _assets(one)]
    store.append(root, ASSETS, pa.Table.from_pylist(assets, ASSETS.arrow))
    for name, of in dict(splits).items():
        schema = splits_schema(name)
        rows = [
            {"sample": one, "subset": said} if isinstance(said, str) else
            {"sample": one, "subset": said[0], "fold": said[1]}
            for one, said in of.items()
        ]  # fmt: skip
        store.create(root, schema)
        store.append(root, schema, pa.Table.from_pylist(rows, schema.arrow))
    if annotations:
        store.create(root, ANNOTATIONS)
        store.append(root, ANNOTATIONS, pa.Table.from_pylist(annotations, ANNOTATIONS.arrow))


def _pixels(one):
    for array in one["arrays"].values():
        if array is not None:
            packed = encode(array)
            yield {"sha256": packed.sha256, "codec": packed.codec, "data": packed.data}


def _row(one):
    label = one.get("label")
    found = {
        "id": one["id"], "hilbert": one["hilbert"], "target": one.get("target"), "declared": [],
        "georeferenced": "at" in one, "label": [label] if isinstance(label, str) else label,
    }  # fmt: skip
    if "at" in one:
        west, south = one["at"]
        found["geometry"] = shapely.to_wkb(shapely.box(west, south, west + 0.01, south + 0.01))
    return found


def _assets(one):
    months = one.get("months", {})
    for name, array in one["arrays"].items():
        base = {"sample": one["id"], "asset": name}
        if array is None:
            yield base | {"href": "https://example.org/far.tif", "times": []}
            continue
        yield base | {
            "pixels": encode(array).sha256, "shape": list(array.shape), "dtype": array.dtype.name,
            "nodata": one.get("nodata"), "transform": one.get("transform"),
            "times": [datetime(2020, m, 1, tzinfo=UTC) for m in months.get(name, ())],
        }  # fmt: skip


def lake_of(folder, samples, *, name="toy", spec=None, **more):
    """Return a registry and the ref of a draft with these samples."""
    registry = Registry(lake=init(str(folder)))
    draft = registry.create(Spec(name=name, **(spec or {})))
    with draft.edit("fill") as root:
        write(root, samples, **more)
    return registry, f"{name}@{draft.branch}"


def damage(registry, ref, sample, asset="s2", *, keep=20):
    """Overwrite the packed bytes of one chip in the lake's view, behind its header."""
    from registry.learn.loading.stream import stream

    found = stream(ref, registry=registry, labels=None, threads=0)
    number = found.ids.to_pylist().index(sample)
    stored = found.places[asset].stored
    path = stored.files[stored.file[number]]
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(int(stored.offset[number]) + keep)
        file.write(b"\xff" * (int(stored.length[number]) - keep))
