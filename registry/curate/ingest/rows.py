"""A plan and what was read of its files become rows of a dataset's tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.contract import (
    PLAN_ANNOTATIONS,
    PLAN_ASSETS,
    PLAN_SAMPLES,
    PLAN_SPLIT,
    AssetKind,
    Plan,
    SourceOptions,
)
from registry.curate.ingest.annotations import annotation_rows
from registry.curate.ingest.matching import completed, first_places, take_by_key
from registry.curate.ingest.series import spans
from registry.errors import InvalidInputError
from registry.geo import Grid, footprints, normalise_crs
from registry.tables.derive import derive
from registry.tables.schemas import ASSETS, SAMPLES, samples_schema

if TYPE_CHECKING:
    from registry.tables.schemas import TableSchema

__all__ = ["Rows", "build_rows"]

_TIMES: Final = ("datetime", "start_datetime", "end_datetime")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows a source makes, in the order in which tables keep them."""

    samples_schema: "TableSchema"
    """Schema of ``samples``, with the source's own properties."""

    samples: pa.Table
    """Sorted by Hilbert key, then id."""

    assets: pa.Table
    """In the order of their samples."""

    annotations: pa.Table
    """In the order of their samples."""

    splits: Mapping[str, pa.Table]
    """The source's own splits by name, each in the order of its samples."""

    pixels: pa.Table
    """What to store: distinct ``sha256``, with ``codec part offset length``, in that order too."""


def build_rows(plan: Plan, rasters: pa.Table, options: SourceOptions) -> Rows:
    """Return the rows for a plan whose files have been read.

    Args:
        plan: Samples and assets; those that could not be read are out already.
        rasters: Rows of ``RASTERS``, one a file that the plan names.
        options: What the user declared.

    Returns:
        Rows; samples without a place come first, with the Hilbert key -1.

    Raises:
        InvalidInputError: The declared CRS is none.
    """
    assets = _joined_assets(completed(plan.assets, PLAN_ASSETS), rasters, options)
    samples = _samples(completed(plan.samples, PLAN_SAMPLES), assets, plan, options)
    order = pc.sort_indices(samples, sort_keys=[("hilbert", "ascending"), ("id", "ascending")])
    samples = samples.take(order)
    assets = _in_order_of(samples["id"], assets, ("asset",))
    annotations = annotation_rows(completed(plan.annotations, PLAN_ANNOTATIONS), assets)
    schema = samples_schema(
        plan.samples.schema.field("properties").type
        if "properties" in plan.samples.column_names
        else None
    )
    return Rows(
        samples_schema=schema,
        samples=samples.select(schema.arrow.names).cast(schema.arrow),
        assets=assets.select(ASSETS.arrow.names).cast(ASSETS.arrow),
        annotations=_in_order_of(samples["id"], annotations, ("id",)),
        splits={
            name: _in_order_of(samples["id"], completed(split, PLAN_SPLIT), ()).cast(PLAN_SPLIT)
            for name, split in plan.splits.items()
        },
        pixels=_distinct_pixels(assets),
    )


def _in_order_of(ids: pa.ChunkedArray, table: pa.Table, then: tuple[str, ...]) -> pa.Table:
    place = pc.index_in(table["sample"], value_set=ids.combine_chunks())
    keyed = table.append_column("_place", place)
    keys = [("_place", "ascending"), *((name, "ascending") for name in then)]
    return table.take(pc.sort_indices(keyed, sort_keys=keys))


# ------------------------------------------------------------------- assets
def _joined_assets(assets: pa.Table, rasters: pa.Table, options: SourceOptions) -> pa.Table:
    read = take_by_key(rasters, "file", assets["file"])
    by_file = pc.equal(assets["kind"], AssetKind.RASTER.value)
    columns = {
        name: pc.if_else(by_file, read[name], assets[name])
        for name in ("dtype", "crs")
    } | {
        "nodata": pc.coalesce(pc.if_else(by_file, read["nodata"], None), assets["nodata"])
    } | {
        name: _either(by_file, read[name], assets[name]) for name in ("shape", "transform")
    }  # fmt: skip
    crs, undeclared = columns["crs"], _declared_crs(options)
    placeless = pc.and_(pc.is_null(crs), pc.is_valid(read["transform"]))
    if undeclared is not None:
        columns["crs"] = pc.if_else(pc.and_(by_file, placeless), undeclared, crs)
    footprint = read["footprint"]
    if undeclared is not None:
        footprint = _declared_footprints(footprint, placeless, columns)
    return pa.table({
        "sample": assets["sample"],
        "asset": assets["asset"],
        "pixels": read["sha256"].cast(pa.binary()),
        "href": assets["href"],
        "checksum": assets["checksum"],
        "size": assets["size"],
        **columns,
        "times": _either(_has_any(assets["times"]), assets["times"], read["times"]),
        "tags": _tags(by_file, assets["file"], read["said"]),
        "footprint": footprint,
        "crs_declared": placeless if undeclared is not None else pa.nulls(len(assets), pa.bool_()),
        "file": assets["file"],
        "codec": read["codec"],
        "part": read["part"],
        "offset": read["offset"],
        "length": read["length"],
    })  # fmt: skip


def _either(
    choose: pa.ChunkedArray, left: pa.ChunkedArray, right: pa.ChunkedArray
) -> pa.ChunkedArray:
    """Choose between lists, for which Arrow's ``if_else`` has no kernel in every release.

    Returns:
        Each row of the left or the right.
    """
    both = pa.chunked_array([*left.chunks, *right.cast(left.type).chunks], left.type)
    picked = np.where(choose.to_numpy(), 0, len(left)) + np.arange(len(left))
    return both.take(pa.array(picked))


def _has_any(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.greater(pc.fill_null(pc.list_value_length(lists), 0), 0)


def _declared_crs(options: SourceOptions) -> str | None:
    return None if options.crs is None else normalise_crs(options.crs)


def _declared_footprints(
    read: pa.ChunkedArray, placeless: pa.ChunkedArray, columns: Mapping[str, pa.ChunkedArray]
) -> pa.ChunkedArray:
    rows = zip(
        placeless.to_pylist(),
        *(columns[name].to_pylist() for name in ("crs", "transform", "shape")),
        strict=True,
    )
    grids = [_grid(*row) if wanted else None for wanted, *row in rows]
    return pc.coalesce(read, pa.chunked_array([pa.array(footprints(grids), pa.binary())]))


def _grid(crs: str, transform: list[float], shape: list[int]) -> Grid | None:
    a, b, c, d, e, f = transform
    try:
        return Grid(crs=crs, transform=(a, b, c, d, e, f), height=shape[-2], width=shape[-1])
    except InvalidInputError:
        return None


def _tags(
    by_file: pa.ChunkedArray, file: pa.ChunkedArray, said: pa.ChunkedArray
) -> pa.ChunkedArray:
    """Return what a file says besides, with its path; names hold no control characters."""
    quoted = pc.replace_substring(file, '"', '\\"')
    rest = pc.utf8_slice_codeunits(said, 1)
    joined = pc.binary_join_element_wise('{"file": "', quoted, '", ', rest, "")
    return pc.if_else(by_file, joined, pa.scalar(None, pa.string()))


def _distinct_pixels(assets: pa.Table) -> pa.Table:
    held = assets.filter(pc.is_valid(assets["pixels"]))
    first = pc.sort_indices(first_places(held["pixels"]))
    places = first_places(held["pixels"]).take(first)
    chosen = held.take(places)
    return chosen.select(["pixels", "codec", "part", "offset", "length"]).rename_columns([
        "sha256", "codec", "part", "offset", "length",
    ])  # fmt: skip


# ------------------------------------------------------------------ samples
def _samples(samples: pa.Table, assets: pa.Table, plan: Plan, options: SourceOptions) -> pa.Table:
    placed = take_by_key(assets.filter(pc.is_valid(assets["crs"])), "sample", samples["id"])
    first = take_by_key(assets, "sample", samples["id"])
    geometry = pc.coalesce(samples["geometry"], placed["footprint"])
    stated, times = _times(_with_steps(samples, assets), options)
    licence, licence_stated = _stated(samples["licence"], options.licence, plan, "licence")
    provider, provider_stated = _stated(samples["provider"], options.provider, plan, "provider")
    crs_stated = pc.and_(
        pc.is_null(samples["geometry"]), pc.fill_null(placed["crs_declared"], fill_value=False)
    )
    source = pc.make_struct(
        pc.coalesce(samples["href"], first["href"], first["file"]),
        samples["checksum"],
        licence,
        provider,
        samples["collection"],
        samples["item"],
        field_names=["href", "checksum", "licence", "provider", "collection", "item"],
    )
    columns = {
        "id": samples["id"],
        "geometry": geometry,
        **times,
        **{name: samples[name] for name in ("label", "target", "group")},
        "georeferenced": pc.is_valid(geometry),
        "declared": _declared({
            "crs": crs_stated,
            "licence": licence_stated,
            "provider": provider_stated,
            **stated,
        }),
        "source": source,
    }
    if "properties" in samples.column_names:
        columns["properties"] = samples["properties"]
    return derive(pa.table(columns), SAMPLES)


def _with_steps(samples: pa.Table, assets: pa.Table) -> pa.Table:
    """Return samples without a time of their own with that of their first and last time step."""
    found = spans(assets)
    if not len(found):
        return samples
    steps = take_by_key(found, "sample", samples["id"])
    alike = pc.fill_null(pc.equal(steps["first"], steps["last"]), fill_value=False)
    own = [pc.is_valid(samples[name]) for name in _TIMES]
    timed = pc.or_(pc.or_(own[0], own[1]), own[2])
    none = pa.scalar(None, PLAN_SAMPLES.field("datetime").type)
    taken = (
        pc.if_else(alike, steps["first"], none),
        pc.if_else(alike, none, steps["first"]),
        pc.if_else(alike, none, steps["last"]),
    )
    for name, steps_say in zip(_TIMES, taken, strict=True):
        place = samples.column_names.index(name)
        samples = samples.set_column(place, name, pc.if_else(timed, samples[name], steps_say))
    return samples


def _times(
    samples: pa.Table, options: SourceOptions
) -> tuple[dict[str, pa.ChunkedArray], dict[str, pa.ChunkedArray]]:
    """Return where each of the user's times is taken, and the three columns of time."""
    names = _TIMES
    unknown = pc.and_(
        pc.and_(pc.is_null(samples[names[0]]), pc.is_null(samples[names[1]])),
        pc.is_null(samples[names[2]]),
    )
    if options.time is None:
        return {}, {name: samples[name] for name in names}
    kind = PLAN_SAMPLES.field("datetime").type
    start, end = pa.scalar(options.time.start, kind), pa.scalar(options.time.end, kind)
    instant = start if options.time.start == options.time.end else pa.scalar(None, kind)
    given = dict(zip(names, (instant, start, end), strict=True))
    stated = {name: unknown for name in names if given[name].is_valid}
    return stated, {name: pc.if_else(unknown, given[name], samples[name]) for name in names}


def _stated(
    read: pa.ChunkedArray, option: str | None, plan: Plan, key: str
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return a column filled by the user's word, then the card's; and where the user's counts."""
    taken = pc.and_(pc.is_null(read), pa.scalar(option is not None))
    said = option if option is not None else plan.card.get(key)
    if not isinstance(said, str):
        return read, taken
    return pc.fill_null(read, said), taken


def _declared(stated: Mapping[str, pa.ChunkedArray]) -> pa.Array:
    """Return for each row the sorted names of what the user stated."""
    names = np.array(sorted(stated))
    flags = np.stack([
        np.asarray(stated[name].to_numpy(zero_copy_only=False), bool) for name in names
    ], axis=1)  # fmt: skip
    ends = np.concatenate([[0], np.cumsum(flags.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(
        ends, pa.array(names[np.nonzero(flags)[1]].tolist(), pa.string())
    )
