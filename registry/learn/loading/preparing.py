"""What a stream is made of before its first byte is read: samples, places, labels, pieces."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.card.spec import Task
from registry.catalog.version import Version
from registry.curate.features.roles import role_of
from registry.errors import InvalidInputError, NotFoundError
from registry.learn.loading.choosing import Choice, choose
from registry.learn.loading.columns import column, numbers, same
from registry.learn.loading.fitting import Fit, fits_of
from registry.learn.loading.labels import Labels, kinds_of, labels_of
from registry.learn.loading.places import Places, asset_rows, places_of
from registry.learn.loading.plan import PIECES, pieces_of, window_of

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["Prepared", "having", "prepared"]

_NAMED: Final = 3  # samples that a line names


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

    left_out: tuple[str, ...]
    """Which of the chosen samples are not among them, in words."""

    warnings: tuple[str, ...]
    """What is worth knowing, in words; begins with what is left out."""


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
    need: Sequence[str] | None = None,
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
    names, warnings = _assets(version, rows, assets, of=choice.said)
    wanted = [_inputs(version, names)] if need is None else [need, names]
    places = places_of(version, rows, names, choice.ids)
    kept, left_out = _kept_of(rows, wanted, choice)
    order = _disk_order(places, kept)
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
        left_out=left_out,
        warnings=(*left_out, *warnings, *found.said, *_unmasked(version, kinds, rows)),
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
    version: Version, rows: pa.Table, asked: Sequence[str] | None, *, of: str
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
                    f"no sample of {of} has an asset {name!r}",
                    hint=f"there are {', '.join(there)}; name those that you want: assets=[…], in "
                    "a recipe data.assets",
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


def _inputs(version: Version, names: Sequence[str]) -> Sequence[str]:
    """Return the assets that are no labels; all where there are no others."""
    return [name for name in names if role_of(version.spec, name) != "labels"] or names


def having(
    version: Version, choice: Choice, assets: Sequence[str]
) -> tuple[Choice, tuple[str, ...]]:
    """Return the samples that have some of the assets, and in words those that do not.

    Args:
        version: Of which version.
        choice: Samples of it.
        assets: Names of assets.

    Raises:
        InvalidInputError: None has any.
    """
    kept, left_out = _kept_of(asset_rows(version, choice.ids), [assets], choice)
    return replace(choice, ids=choice.ids.take(column(np.flatnonzero(kept)))), left_out


def _kept_of(
    rows: pa.Table, wanted: Sequence[Sequence[str]], choice: Choice
) -> tuple[npt.NDArray[np.bool_], tuple[str, ...]]:
    """Return which samples have some asset of each group, and lines on the others.

    Raises:
        InvalidInputError: None has.
    """
    kept = np.ones(len(choice.ids), np.bool_)
    lines: list[str] = []
    for assets in wanted:
        there = np.zeros(len(kept), np.bool_)
        for name in assets:
            mine = rows.filter(pc.and_(same(rows["asset"], name), pc.is_valid(rows["pixels"])))
            there[numbers(mine["number"])] = True
        lost = np.flatnonzero(kept & ~there)
        kept &= there
        if not kept.any():
            raise InvalidInputError(
                f"no sample of {choice.said} has any of {', '.join(assets)}",
                hint="choose other assets, or all of them; in a recipe: data.assets",
            )
        if len(lost):
            named = choice.ids.take(column(lost[:_NAMED])).to_pylist()
            lines.append(_lacking(named, len(lost), assets, of=choice.said))
    return kept, tuple(lines)


def _lacking(named: Sequence[str], count: int, assets: Sequence[str], *, of: str) -> str:
    """Return a line on samples that are left out.

    Examples:
        >>> _lacking(["a"], 2, ["s2"], of="ships@v2")
        '2 samples of ships@v2 have none of s2 and are left out: a, …'
    """
    more = ["…"] if count > len(named) else []
    which = f"{', '.join(assets)} and {'is' if count == 1 else 'are'} left out"
    return (
        f"{count:,} {'sample' if count == 1 else 'samples'} of {of} "
        f"{'has' if count == 1 else 'have'} none of {which}: {', '.join([*named, *more])}"
    )


def _disk_order(places: Mapping[str, Places], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the samples that are kept in the order of their first asset on disk."""
    groups, _, offsets = _first(places)
    order = np.lexsort((offsets, groups[:, 1], groups[:, 0]))
    return order[kept[order]]


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
