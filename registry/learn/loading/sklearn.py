"""Versions as a matrix and what is to be learnt of each row, for scikit-learn and its kind."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.card.spec import Task
from registry.catalog.ref import Ref
from registry.catalog.registry import Registry, connect
from registry.catalog.version import Version
from registry.curate.features.getting import features as get_features
from registry.curate.features.getting import sets_of
from registry.curate.features.matrix import matrix as as_matrix
from registry.errors import InvalidInputError
from registry.learn.loading.boxes import counted_annotations
from registry.learn.loading.choosing import choose
from registry.learn.loading.labels import labels_of

__all__ = ["Table", "matrix", "table"]


class Table(NamedTuple):
    """Rows to learn from."""

    X: npt.NDArray[np.float64]
    """A row a sample, a column a feature; NaN where nothing is known."""

    y: npt.NDArray[Any]
    """What is to be learnt of each row; see :func:`matrix`."""

    names: tuple[str, ...]
    """Of the columns, such as ``spectral.ndvi_mean``."""

    samples: tuple[str, ...]
    """Ids of the rows."""

    classes: tuple[str, ...]
    """Class names in the order of their numbers; empty for quantities and counts."""


def matrix(
    ref: Ref | str | Version,
    *,
    features: str | Sequence[str] = "spectral",
    split: str | None = None,
    splits: str | None = None,
    registry: Registry | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[Any]]:
    """Return a version as scikit-learn's ``X`` and ``y``.

    Args:
        ref: A ref such as ``ships@v2``, or a version.
        features: Feature sets that were computed on it.
        split: Which subset: ``train``, ``validate``, ``test``, ``test:<name>``; all if None.
        splits: Name of the split; ``default`` or ``official`` if None.
        registry: Where the ref is looked up; the usual one by default.

    Returns:
        ``X``, float64, a row a sample and a column a feature, NaN where nothing is known, without
        the columns that no sample of the version has a number in; and
        ``y``: classes from 0 in the card's order (int64), or one column a class (int64, 0 or 1)
        where samples have several, or quantities (float64), or for detection how many objects
        each sample has (int64, 0 where it has none). Samples without it are left out.

    Raises:
        FeaturesMissingError: A set was not computed on it; the hint is the command that does.
        InvalidInputError: Its samples have no classes, quantities or objects, or none is left.
    """
    found = table(ref, features=features, split=split, splits=splits, registry=registry)
    return found.X, found.y


def table(
    ref: Ref | str | Version,
    *,
    features: str | Sequence[str] = "spectral",
    split: str | None = None,
    splits: str | None = None,
    registry: Registry | None = None,
) -> Table:
    """Return what :func:`matrix` does, with the names of columns, rows and classes.

    Args:
        ref: As there.
        features: As there.
        split: As there.
        splits: As there.
        registry: As there.

    Raises:
        FeaturesMissingError: A set was not computed on it; the hint is the command that does.
        InvalidInputError: Its samples have no classes, quantities or objects, or none is left.
    """
    registry = registry or connect()
    version = ref if isinstance(ref, Version) else registry.resolve(ref)
    said = [features] if isinstance(features, str) else list(features)
    rows = get_features(version, sets_of(registry, version, said))
    chosen = choose(version, split=split, splits=splits)
    made = as_matrix(rows)
    y, classes = _wanted(version, pa.array(made.samples, pa.string()))
    there = np.asarray(pc.is_in(pa.array(made.samples, pa.string()), value_set=chosen.ids))
    if y.ndim > 1:
        there &= y.any(axis=1)
    else:
        there &= y >= 0 if y.dtype == np.int64 else np.isfinite(y)
    known = np.array(
        np.isfinite(made.values).any(axis=0)
    )  # of the whole version, so that subsets agree
    if not there.any():
        raise InvalidInputError(
            f"no sample of {chosen.said} has a class, a quantity or an object to learn",
            hint="masks are learnt from pixels: use the loader of torch",
        )
    samples = tuple(name for name, kept in zip(made.samples, there, strict=True) if kept)
    names = tuple(name for name, kept in zip(made.names, known, strict=True) if kept)
    values = made.values[there][:, known]
    return Table(X=values, y=y[there], names=names, samples=samples, classes=classes)


def _wanted(version: Version, ids: pa.StringArray) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Return what is to be learnt of samples: one class, several, a quantity, or a count."""
    if version.spec.task == Task.DETECTION:
        return _objects(version, ids), ()
    rows = version.table("samples", columns=["label"]).column("label")
    most = pc.max(pc.list_value_length(rows)).as_py() or 0
    if most > 1:
        found = labels_of(version, ids, ("labels",))
        return np.asarray(found.labels, np.int64), found.classes
    if most == 1:
        found = labels_of(version, ids, ("label",))
        return np.asarray(found.label, np.int64), found.classes
    return np.asarray(labels_of(version, ids, ("target",)).target, np.float64), ()


def _objects(version: Version, ids: pa.StringArray) -> npt.NDArray[np.int64]:
    """Return how many labelled objects each sample has."""
    owners = counted_annotations(version).column("sample")
    numbers = pc.index_in(owners, value_set=ids).drop_null()
    return np.bincount(numbers.to_numpy(), minlength=len(ids)).astype(np.int64)
