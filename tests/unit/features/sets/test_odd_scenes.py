"""Whatever array comes, a set gives finite values of its types, or says what is missing."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.features.scene import Layer, MissingInputError, Scene, Shape
from registry.curate.features.sets.embeddings import EMBEDDINGS
from registry.curate.features.sets.labels import LABELS
from registry.curate.features.sets.temporal import TEMPORAL
from registry.curate.features.sets.texture import TEXTURE

KINDS = ("bool", "uint8", "int16", "uint16", "int64", "uint64", "float16", "float32", "float64")
LETTERS = ("R", "N", "G", "B", "VV", "VH", None)
START = datetime(2019, 1, 1, tzinfo=UTC)


def pixels(rng, kind, shape):
    if kind == "bool":
        return rng.random(shape) > 0.5
    if not kind.startswith("float"):
        ends = np.iinfo(kind)
        return rng.integers(ends.min, ends.max, shape, dtype=kind, endpoint=True)
    largest = np.finfo(np.float16 if kind == "float16" else np.float32).max
    found = rng.normal(0, rng.choice([0, 1e-6, 1]), shape).astype(kind)
    odd = rng.random(shape)
    for low, value in ((0.9, np.nan), (0.95, np.inf), (0.98, largest)):
        found[odd > low] = value
    return found


def odd_scene(seed, kind, role):
    rng = np.random.default_rng(seed)
    steps, bands = int(rng.choice([1, 2, 7, 30])), int(rng.choice([1, 2, 5]))
    height, width = rng.choice([1, 2, 3, 9], 2)
    letters = tuple(LETTERS[i] for i in rng.permutation(len(LETTERS))[:bands])
    days = rng.integers(0, rng.choice([1, 1200]), steps)
    layer = Layer(
        asset="a",
        raw=pixels(rng, kind, (steps, bands, height, width)),
        role=role,
        bands=tuple(map(str, range(bands))),
        common=letters,
        nodata=rng.choice([None, 0.0]),
        times=tuple(START + timedelta(days=int(day)) for day in days) if seed % 3 else (),
        clear=rng.random((steps, height, width)) > 0.4 if seed % 2 else None,
        unit=rng.choice([None, "dB", "reflectance"]),
        gsd=10.0,
        scale=(1e-4,) * bands if seed % 5 == 0 else (),
    )
    outline = shapely.to_wkb(shapely.box(0.3, 0.2, 1.9, 1.1))
    shape = Shape(id="s", category=None, geometry=outline, frame="pixel")
    return Scene(sample="x", layers=(layer,), shapes=(shape,))


@pytest.mark.parametrize("made", [TEXTURE, TEMPORAL, LABELS, EMBEDDINGS], ids=lambda one: one.name)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(KINDS),
    role=st.sampled_from(["data", "labels"]),
)
def test_values_are_finite_and_of_their_types(made, seed, kind, role):
    try:
        found = made.by_scene(odd_scene(seed, kind, role))
    except MissingInputError:
        return

    kinds = pa.struct([pa.field(one.name, one.type) for one in made.features])
    pa.array([{one.name: found.get(one.name) for one in made.features}], kinds)
    assert set(found) <= {one.name for one in made.features}
    assert all(np.isfinite(value) for value in found.values() if isinstance(value, float))
