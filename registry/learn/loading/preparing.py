"""What a stream is made of before its first byte is read: samples, places, labels, pieces."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.card.spec import Task
from registry.catalog.version import Version
from registry.curate.features.roles import role_of
from registry.errors import InvalidInputError, NotFoundError
from registry.learn.loading.choosing import choose
from registry.learn.loading.columns import column
from registry.learn.loading.fitting import Fit, fits_of
from registry.learn.loading.labels import Labels, kinds_of, labels_of
from registry.learn.loading.places import Places, asset_rows, places_of
from registry.learn.loading.plan import PIECES, pieces_of, window_of

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["Prepared", "prepared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Samples in the order of the disk, with all that is known of them."""

    version: Version
    """Of which version."""

    ids: pa.StringArray
    """The samples; a sample's number is its place here."""

    splits: str | None
    """Table of splits that they were chosen by."""

    rows: pa.Table
    """The times of their rows of the table of assets."""

    places: Mapping[str, Places]
    """Where each asset lies."""

    fits: Mapping[str, Fit]
    """What each looks like in a batch."""

    labels: Labels
    """What is to be learnt of each."""

    pieces: npt.NDArray[np.int64]
    """Which stretch of a row group each lies in."""

    window: int
    """Samples that are shuffled together."""

    key: str
    """Digest of the samples in their order."""

    warnings: tuple[str, ...]
    """What is worth knowing, in words."""


def prepared(  # noqa: PLR0913 — the choices of a stream that samples depend on
    ref: str | Version,
    *,
    registry: "Registry | None",
    split: str | None,
    splits: str | None,
    fold: int | None,
    slice_id: str | None,
    ids: Sequence[str] | None = None,
    assets: Sequence[str] | None,
    labels: "str | Sequence[str] | None",
    frames: int | None,
    crop: tuple[int, int] | None,
    batch_size: int,
    window: int | None,
) -> Prepared:
    """Return the samples of a stream and all that is known of them; arguments are a stream's."""
    version = ref if isinstance(ref, Version) else _resolved(ref, registry)
    choice = choose(
        version, split=split, splits=splits, fold=fold, slice=slice_id, ids=ids, registry=registry
    )
    rows = asset_rows(version, choice.ids)
    names, warnings = _assets(version, rows, assets)
    places = places_of(version, rows, names, choice.ids)
    order, lacking = _disk_order(places)
    if lacking:
        warnings.append(f"{lacking:,} samples of {choice.said} have none of {', '.join(names)}")
    chosen = choice.ids.take(column(order))
    places = {name: _taken(place, order) for name, place in places.items()}
    fits = fits_of(places, chosen, crop=crop, frames=frames)
    kinds = kinds_of(version, labels)
    found = labels_of(version, chosen, kinds, (rows, *_extents(places)))
    if found.missing:
        warnings.append(f"no sample of {choice.said} has class {', '.join(found.missing)}")
    groups, sizes = _groups(places)
    many = window_of(sizes=sizes, batch_size=batch_size, window=window)
    return Prepared(
        version=version,
        ids=chosen,
        splits=choice.splits,
        rows=rows.select(["times"]),
        places=places,
        fits=fits,
        labels=found,
        pieces=pieces_of(
            groups=groups, sizes=sizes, piece_bytes=float(sizes.mean()) * many / PIECES
        ),
        window=many,
        key=_key(chosen),
        warnings=(*warnings, *found.said, *_unmasked(version, kinds, rows)),
    )


def _unmasked(version: Version, kinds: Sequence[str], rows: pa.Table) -> list[str]:
    """Return that there is nothing to learn segmentation from, where no asset is a mask.

    Args:
        version: Of which version.
        kinds: What is given beside the assets.
        rows: Those of the table of assets that the streamed samples have.
    """
    if version.spec.task != Task.SEGMENTATION or tuple(kinds) != ("mask",):
        return []
    if any(role_of(version.spec, name) == "labels" for name in _kept(rows)):
        return []
    from registry.learn.loading.pixel_labels import pixel_labels

    if pixel_labels(version):  # reads all rows, so it comes last: other subsets may have masks
        return []
    if "annotations" in version.tables() and version.count("annotations"):
        helps = (
            'the polygons are given as boxes with labels="boxes", or set the card\'s task: '
            f"eolab card {version.dataset} --set task=detection"
        )
    else:
        helps = (
            "nothing is given to learn from; say which one is: "
            f"eolab card {version.dataset} --set 'assets.NAME={{role: labels}}'"
        )
    return [f"the card says segmentation, and no asset is a mask: {helps}"]


def _resolved(ref: str, registry: "Registry | None") -> Version:
    from registry.catalog.registry import connect

    return (registry or connect()).resolve(ref)


def _assets(
    version: Version, rows: pa.Table, asked: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """Return which assets are streamed, those of data first, and what was left out.

    Raises:
        NotFoundError: There is no asset of a name.
        InvalidInputError: None is left, or one is named twice.
    """
    there = sorted(rows["asset"].unique().to_pylist())
    if asked is not None:
        for name in asked:
            if name not in there:
                raise NotFoundError(
                    f"no sample has an asset {name!r}", hint=f"there are {', '.join(there)}"
                )
        if not asked or len(set(asked)) != len(asked):
            raise InvalidInputError(f"assets is {list(asked)}", hint="name each once, at least one")
        return list(asked), []
    kept = _kept(rows)
    away = [name for name in there if name not in kept]
    said = [f"assets by reference are left out: {', '.join(away)}"] if away else []
    if not kept:
        raise InvalidInputError(
            f"all assets of {version.ref} are kept by reference: {', '.join(there)}",
            hint="ingest them as chips",
        )
    carded = version.spec.assets
    places = {name: place for place, name in enumerate(carded)}

    def rank(name: str) -> tuple[bool, int, str]:
        labels = name in carded and (carded[name].role == "labels" or bool(carded[name].values))
        return labels, places.get(name, len(places)), name

    return sorted(kept, key=rank), said


def _kept(rows: pa.Table) -> set[str]:
    """Return the assets that have pixels in the lake."""
    return set(rows.filter(pc.is_valid(rows["pixels"]))["asset"].unique().to_pylist())


def _disk_order(places: Mapping[str, Places]) -> tuple[npt.NDArray[np.int64], int]:
    """Return samples in the order of their first asset on disk, and how many have none.

    Raises:
        InvalidInputError: None has any.
    """
    groups, _, offsets = _first(places)
    there = groups[:, 0] >= 0
    order = np.lexsort((offsets, groups[:, 1], groups[:, 0]))
    kept = order[there[order]]
    if not len(kept):
        raise InvalidInputError(
            "no sample has any of the assets", hint="choose other assets, or all of them"
        )
    return kept, int(len(order) - len(kept))


def _first(
    places: Mapping[str, Places],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return file and group, packed bytes of all assets, and the place of each sample's first."""
    count = len(next(iter(places.values())).form)
    groups = np.full((count, 2), -1, np.int64)
    sizes, offsets = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for place in places.values():
        stored = place.stored
        sizes += stored.length
        new = (groups[:, 0] < 0) & place.there
        groups[new, 0], groups[new, 1] = stored.file[new], stored.group[new]
        offsets[new] = stored.row[new]
    return groups, sizes, offsets


def _groups(places: Mapping[str, Places]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the row group of each sample, numbered over all files, and its packed bytes."""
    groups, sizes, _ = _first(places)
    most = int(groups[:, 1].max()) + 1
    return groups[:, 0] * most + groups[:, 1], np.maximum(sizes, 1)


def _taken(place: Places, order: npt.NDArray[np.int64]) -> Places:
    return Places(
        asset=place.asset,
        stored=place.stored.taken(order),
        form=place.form[order],
        forms=place.forms,
        nodata=place.nodata[order],
        rows=place.rows[order],
    )


def _extents(places: Mapping[str, Places]) -> tuple[Any, Any]:
    """Return the row of each sample's first asset, and the height and width of that."""
    first = next(iter(places.values()))
    sides = np.array([*(shape[-2:] for _, shape in first.forms), (0, 0)], np.int64)
    return first.rows, sides[first.form]


def _key(ids: pa.StringArray) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(ids), 65_536):
        digest.update("\n".join(ids.slice(start, 65_536).to_pylist()).encode())
        digest.update(b"\n")
    return digest.hexdigest()
