"""Samples by the side of a split that they are on, and what two sides have in common."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.catalog.splits import in_lab_words, learning_order
from registry.catalog.version import Version
from registry.curate.splits.columns import scenes_of
from registry.curate.splits.nearness import Places, places_of
from registry.errors import InvalidInputError

__all__ = ["Distance", "Hits", "Sides"]

_LEAST_OVERLAP: Final = 0.01  # of the smaller footprint; neighbours share an edge, not ground
_AT_ONCE: Final = 20_000
_COLUMNS: Final = ("id", "geometry", "bbox", "group", "source")

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far the samples of one subset lie from the nearest of another, centre to centre."""

    judged: str
    """The subset that judges, such as ``test``."""

    learned: str
    """The subset that it must not know, such as ``train``."""

    least: float
    """Kilometres."""

    median: float
    """Kilometres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """Samples of a judging subset that the other one knows, each with one that gives it away."""

    samples: Codes
    others: Codes
    said: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """All samples with the side that each is on."""

    ids: npt.NDArray[np.object_]
    side: Codes
    names: tuple[str, ...]
    shapes: npt.NDArray[np.object_]
    places: Places
    groups: Codes
    group_names: npt.NDArray[np.object_]
    scenes: Codes
    pixels: tuple[Codes, Codes]
    """Which sample has which array, of all that several samples share."""

    @classmethod
    def of(
        cls,
        version: Version,
        rows: pa.Table,
        pretrained: Sequence[Version],
        seen: Mapping[str, pa.Array],
    ) -> "Sides":
        """Return the sides of a split's rows, and those of versions that were seen before.

        Args:
            version: Whose split.
            rows: Of the split.
            pretrained: Versions that were seen before.
            seen: By their refs, the ids that were; all if nothing is said.
        """
        tables = [_sample_rows(version)]
        subset = pc.coalesce(rows["subset"], pc.binary_join_element_wise(
            "fold", pc.cast(rows["fold"], pa.string()), " "
        )).combine_chunks().dictionary_encode()  # fmt: skip
        known = pa.array([in_lab_words(one) for one in subset.dictionary.to_pylist()], pa.string())
        subset = known.take(subset.indices)
        where = pc.index_in(tables[0]["id"], value_set=rows["sample"].combine_chunks())
        words = [subset.take(where)]
        for one in pretrained:
            tables.append(_sample_rows(one))
            ids = tables[-1]["id"]
            known = pc.is_in(ids, value_set=seen.get(str(one.ref), ids))
            words.append(pc.if_else(known, f"pretraining {one.ref}", pa.scalar(None, pa.string())))
        samples = pa.concat_tables(tables)
        sides = pa.chunked_array([chunk for one in words for chunk in one.chunks], pa.string())
        names = tuple(sorted(sides.unique().drop_null().to_pylist(), key=learning_order))
        codes = pc.fill_null(pc.index_in(sides, value_set=pa.array(names, pa.string())), -1)
        groups = pc.dictionary_encode(samples["group"].combine_chunks(), null_encoding="mask")
        return cls(
            ids=samples["id"].to_numpy(),
            side=codes.to_numpy().astype(np.int64),
            names=names,
            shapes=_shapes(samples["geometry"].to_numpy()),
            places=places_of(samples),
            groups=_indices(groups),
            group_names=np.asarray(groups.dictionary.to_pylist(), object),
            scenes=_indices(pc.dictionary_encode(scenes_of(samples), null_encoding="mask")),
            pixels=_shared_pixels([version, *pretrained]),
        )

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield each subset that judges with each that comes before it."""
        for judged in range(len(self.names)):
            for learned in range(judged):
                if not self.names[judged].startswith("pretraining"):
                    yield judged, learned

    def hits(self, judged: int, learned: int) -> Iterator[tuple[str, Hits]]:
        """Yield each check that found something between two sides, with what it found."""
        own, other = np.flatnonzero(self.side == judged), np.flatnonzero(self.side == learned)
        found = {
            "leak-pixels": self._by_pixels(judged, learned),
            "leak-group": self._by_group(own, other),
            "leak-overlap": (ground := self._by_ground(own, other)),
            "leak-scene": _alike(self.scenes, own, other),
            "leak-near": self._by_nearness(own, other, ground),
        }
        for check, hits in found.items():
            if hits is not None and len(hits.samples):
                yield check, hits

    def distance(self, judged: int, learned: int) -> Distance | None:
        """Return how far two sides are apart; None if one has no place."""
        own = np.flatnonzero((self.side == judged) & self.places.known)
        other = np.flatnonzero((self.side == learned) & self.places.known)
        if not len(own) or not len(other):
            return None
        km, _ = self.places.nearest(own, other)
        return Distance(
            judged=self.names[judged], learned=self.names[learned], least=float(km.min()),
            median=float(np.median(km)),
        )  # fmt: skip

    def _by_pixels(self, judged: int, learned: int) -> Hits | None:
        sample, array = self.pixels
        side = self.side[sample]
        return _alike_among(
            array, sample, np.flatnonzero(side == judged), np.flatnonzero(side == learned)
        )

    def _by_group(self, own: Codes, other: Codes) -> Hits | None:
        hits = _alike(self.groups, own, other)
        if hits is None:
            return None
        said = tuple({"what": name} for name in self.group_names[self.groups[hits.samples]])
        return Hits(samples=hits.samples, others=hits.others, said=said)

    def _by_ground(self, own: Codes, other: Codes) -> Hits | None:
        known = ~shapely.is_missing(self.shapes)
        own, other = own[known[own]], other[known[other]]
        if not len(own) or not len(other):
            return None
        tree = shapely.STRtree(self.shapes[own])
        most, whose = np.zeros(len(own)), np.full(len(own), -1, np.int64)
        for first in range(0, len(other), _AT_ONCE):
            some = other[first : first + _AT_ONCE]
            which, mine = tree.query(self.shapes[some], predicate="intersects")
            share = _overlap(self.shapes[own[mine]], self.shapes[some[which]])
            order = np.argsort(share, kind="stable")
            mine, which, share = mine[order], which[order], share[order]
            better = share > most[mine]
            most[mine[better]], whose[mine[better]] = share[better], some[which[better]]
        hit = np.flatnonzero(most > _LEAST_OVERLAP)
        said = tuple({"share": float(share)} for share in most[hit])
        return Hits(samples=own[hit], others=whose[hit], said=said)

    def _by_nearness(self, own: Codes, other: Codes, overlapping: Hits | None) -> Hits | None:
        if overlapping is not None:  # said already
            own = np.setdiff1d(own, overlapping.samples)
        own, other = own[self.places.known[own]], other[self.places.known[other]]
        if not len(own) or not len(other):
            return None
        km, nearest = self.places.nearest(own, other)
        width = 2 * self.places.reach[own] / np.sqrt(2)
        hit = np.flatnonzero((km < width) & (km > 0))
        said = tuple({"km": float(one)} for one in km[hit])
        return Hits(samples=own[hit], others=nearest[hit], said=said)


def _sample_rows(version: Version) -> pa.Table:
    there = version.scan("samples").schema.names
    rows = version.table("samples", columns=[name for name in _COLUMNS if name in there])
    if not rows.num_rows:
        raise InvalidInputError(f"{version.ref} has no samples", hint="ingest some")
    return rows


def _shapes(wkb: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return geometries of which areas can be taken: those that cross themselves are mended."""
    shapes = np.asarray(shapely.from_wkb(wkb, on_invalid="ignore"), object)
    odd = ~shapely.is_missing(shapes) & ~shapely.is_valid(shapes)
    shapes[odd] = shapely.make_valid(shapes[odd])
    return shapes


def _indices(encoded: pa.DictionaryArray) -> Codes:
    return np.asarray(pc.fill_null(encoded.indices, -1), np.int64)


def _alike(codes: Codes, own: Codes, other: Codes) -> Hits | None:
    return _alike_among(codes, np.arange(len(codes)), own, other)


def _alike_among(codes: Codes, samples: Codes, own: Codes, other: Codes) -> Hits | None:
    """Return those of some rows whose code is also among others', with the first of these."""
    own, other = own[codes[own] >= 0], other[codes[other] >= 0]
    if not len(own) or not len(other):
        return None
    known, first = np.unique(codes[other], return_index=True)
    place = np.minimum(np.searchsorted(known, codes[own]), len(known) - 1)
    hit = known[place] == codes[own]
    found, once = np.unique(samples[own[hit]], return_index=True)
    return Hits(samples=found, others=samples[other[first[place[hit]]]][once])


def _overlap(
    one: npt.NDArray[np.object_], other: npt.NDArray[np.object_]
) -> npt.NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        smaller = np.minimum(shapely.area(one), shapely.area(other))
        share = shapely.area(shapely.intersection(one, other)) / smaller
    return np.nan_to_num(share)


def _shared_pixels(versions: Sequence[Version]) -> tuple[Codes, Codes]:
    """Return which samples have an array that others have too: positions of both."""
    parts, first = [], 0
    for version in versions:
        ids = version.table("samples", columns=["id"])["id"].combine_chunks()
        if "assets" in version.tables():
            masks = [name for name, one in version.spec.assets.items() if one.role == "labels"]
            rows = version.table("assets", columns=["sample", "asset", "pixels"])
            known = pc.and_(
                pc.is_valid(rows["pixels"]),
                pc.invert(pc.is_in(rows["asset"], value_set=pa.array(masks, pa.string()))),
            )
            rows = rows.filter(known)
            sample = pc.add(pc.index_in(rows["sample"], value_set=ids), first)
            parts.append(pa.table({"sample": sample, "pixels": rows["pixels"]}))
        first += len(ids)
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows = pa.concat_tables(parts)
    rows = rows.filter(pc.is_valid(rows["sample"]))
    arrays = pc.dictionary_encode(pc.cast(rows["pixels"], pa.binary()).combine_chunks())
    return rows["sample"].to_numpy().astype(np.int64), _indices(arrays)
