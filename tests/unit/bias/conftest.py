"""Simulated samples whose strata are known because the test says them."""

import numpy as np
import pyarrow as pa
import pytest

from registry.catalog import Spec
from registry.curate.bias import counting, weighing
from registry.curate.bias.evidence import Evidence
from registry.curate.bias.population import Population
from registry.lake import init
from registry.tables import store
from registry.tables.schemas import ANNOTATIONS, SAMPLES, splits_schema


@pytest.fixture
def strata_as_said(monkeypatch):
    """Let columns that begin with a dot be the strata, in the place of layers."""

    def said(samples, _layers=None):
        from registry.curate.bias.sorting import _tidy

        return {
            name[1:]: _tidy(samples[name])
            for name in sorted(samples.column_names)
            if name.startswith(".")
        }

    monkeypatch.setattr(counting, "sorted_out", said)
    monkeypatch.setattr(weighing, "sorted_out", said)
    return said


@pytest.fixture
def evidence_of(strata_as_said):
    """Return what counts columns of strata, labels and whatever else samples have."""

    def make(columns, *, joint=(), cell_km=100.0, low=None, high=None):
        table = pa.table(columns)
        recipe = counting.Recipe(cell_km=cell_km, joint=joint, low=low, high=high)
        return Evidence(counts=counting.combine([counting.tally(table, recipe)]))

    return make


@pytest.fixture
def places():
    """Return boxes around points, as ``samples`` has them."""

    def make(lon, lat):
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        edges = [pa.array(edge) for edge in (lon - 1e-3, lat - 1e-3, lon + 1e-3, lat + 1e-3)]
        return pa.StructArray.from_arrays(edges, ["xmin", "ymin", "xmax", "ymax"])

    return make


@pytest.fixture
def shares_of():
    """Return a population of one dimension, or of several independent ones."""

    def make(size=None, **dimensions):
        rows = [({}, 1.0)]
        for name, shares in dimensions.items():
            rows = [
                ({**row, name: stratum}, weight * share)
                for row, weight in rows
                for stratum, share in shares.items()
            ]
        columns = {name: [row[name] for row, _ in rows] for name in dimensions}
        table = pa.table({**columns, "weight": [weight for _, weight in rows]})
        return Population(name="world", version="7", table=table, size=size)

    return make


@pytest.fixture
def registry(tmp_path):
    from registry.catalog.registry import connect

    init(str(tmp_path / "lake"))
    return connect(str(tmp_path / "lake"))


@pytest.fixture
def dataset(registry, ungated):
    """Return what publishes samples (and more) as a dataset's first version."""

    def make(samples, *, annotations=None, subsets=None, name="fields", publish=True):
        draft = registry.create(Spec(name=name, licence="CC-BY-4.0"))

        def write(root):
            store.overwrite(root, SAMPLES, pa.Table.from_pylist(samples, schema=_schema(samples)))
            if annotations is not None:
                store.append(root, ANNOTATIONS, pa.Table.from_pylist(annotations))
            if subsets is not None:
                rows = [{"sample": sample, "subset": one} for sample, one in subsets.items()]
                store.append(root, splits_schema("default"), pa.Table.from_pylist(rows))

        if publish:
            return ungated(registry, draft, write)
        with draft.edit("samples") as root:
            write(root)
        return registry.resolve(f"{name}@draft")

    return make


def _schema(samples):
    names = {name for row in samples for name in row} or {"id"}
    return pa.schema([field for field in SAMPLES.arrow if field.name in names])
