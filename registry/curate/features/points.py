"""Features at points and times: computed on the spot, or looked up without looking ahead."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.curate.features.as_of import samples_at
from registry.curate.features.catalogue import one
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog.version import Version
    from registry.curate.features.definition import FeatureSet

__all__ = ["computable_at_points", "features_at"]

_KNOWN: Final = frozenset({
    "bbox", "geometry", "datetime", "start_datetime", "end_datetime", "georeferenced",
    "properties", "source",
})  # fmt: skip
_TIME: Final = pa.timestamp("us", "UTC")


def features_at(
    points: pa.Table, sets: Sequence[str], *, version: "Version | None" = None
) -> pa.Table:
    """Return features at points.

    Args:
        points: From :func:`registry.curate.features.reading_points.read_points`, or of its schema
            :data:`~registry.curate.features.reading_points.POINTS`.
        sets: Names of feature sets. Those that a version keeps are looked up in it; others are
            computed at the points themselves, if they look at place and time alone.
        version: Where kept features are looked up: of the samples whose footprint contains the
            point and whose time is not after the point's, the latest; of several at one time the
            one whose centre is nearest. See :func:`registry.curate.features.as_of.samples_at`.

    Returns:
        ``id, lon, lat, time``, with a version ``sample`` and ``sample_time``, and the features in
        the order of the points; null where nothing is known. Where two sets share a name, the
        later one's is ``<set>.<name>``.

    Raises:
        InvalidInputError: A set looks at pixels or labels, and no version that keeps it is given.
        NotFoundError: There is no such set.
        UnavailableError: A package that a set needs is not installed.

    Examples:
        >>> from registry.curate.features.reading_points import points_of
        >>> here = points_of(iter([("", {"lon": 24.95, "lat": 60.2, "id": "a"})]))
        >>> features_at(here, ["climate"])["country"].to_pylist()
        ['Finland']
    """
    names = list(dict.fromkeys(sets))
    columns: dict[str, Any] = {name: points[name] for name in ("id", "lon", "lat")}
    columns["time"] = points["start_datetime"]
    kept = [name for name in names if version is not None and _keeps(version, name)]
    if version is not None:
        found = samples_at(points, version)
        columns |= {"sample": found["sample"], "sample_time": found["time"]}
    rows = _as_samples(points)
    for name in names:
        if version is not None and name in kept:
            values = _looked_up(version, name, columns["sample"])
        else:
            values = _computed(rows, name, version)
        for column in values.column_names:
            columns[f"{name}.{column}" if column in columns else column] = values[column]
    return pa.table(columns)


def computable_at_points(made: "FeatureSet") -> bool:
    """Return whether a set looks at place and time alone."""
    needs = made.needs
    return made.by_row is not None and not (
        needs.arrays or needs.annotations or set(needs.columns) - _KNOWN
    )


def _keeps(version: "Version", name: str) -> bool:
    return f"features/{name}" in version.tables()


def _as_samples(points: pa.Table) -> pa.Table:
    """Return points as rows of ``samples``: footprints without extent."""
    lon, lat = points["lon"].to_numpy(), points["lat"].to_numpy()
    first, last = points["start_datetime"], points["end_datetime"]
    exact = pc.equal(first, last)
    edges = [pa.array(lon), pa.array(lat), pa.array(lon), pa.array(lat)]
    return pa.table({
        "id": points["id"],
        "geometry": pa.array(shapely.to_wkb(shapely.points(lon, lat)).tolist(), pa.binary()),
        "bbox": pa.StructArray.from_arrays(edges, ["xmin", "ymin", "xmax", "ymax"]),
        "datetime": pc.if_else(exact, first, pa.scalar(None, _TIME)),
        "start_datetime": first,
        "end_datetime": last,
        "georeferenced": pa.array(np.ones(len(lon), np.bool_)),
    })


def _computed(rows: pa.Table, name: str, version: "Version | None") -> pa.Table:
    made = one(name)
    if not computable_at_points(made) or made.by_row is None:
        where = f"{version.ref} does not keep it" if version is not None else "points have none"
        raise InvalidInputError(
            f"feature set '{name}' looks at more than place and time, and {where}",
            hint=f"compute it for a version, then look there: eolab features compute "
            f"<dataset>@<version> --set {name}, and --from <dataset>@<version>",
        )
    wanted = [column for column in made.needs.columns if column in rows.column_names]
    found = made.by_row(rows.select(["id", *wanted]))
    return pa.table({
        feature.name: (
            found[feature.name].cast(feature.type)
            if feature.name in found.column_names
            else pa.nulls(rows.num_rows, feature.type)
        )
        for feature in made.features
    })


def _looked_up(version: "Version", name: str, samples: pa.Array) -> pa.Table:
    reader = version.scan(f"features/{name}")
    if "sample" not in reader.schema.names:
        raise InvalidInputError(
            f"'{name}' of {version.ref} has no rows of samples",
            hint="look up a set whose key is the sample",
        )
    wanted = pc.unique(samples).drop_null()
    parts = [batch.filter(pc.is_in(batch["sample"], value_set=wanted)) for batch in reader]
    table = pa.Table.from_batches(parts, schema=reader.schema)
    place = pc.index_in(samples, value_set=table["sample"].combine_chunks())
    shown = [column for column in table.column_names if column != "sample" and column[0] != "_"]
    return table.select(shown).take(place)
