"""Where the arrays of an asset lie, for all samples at once: columns of numbers, no objects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.version import Version
from registry.errors import InvalidInputError, NotFoundError
from registry.lake import lazy
from registry.learn.loading.columns import column, numbers, same
from registry.tables.chips import entries_of
from registry.tables.errors import UnsafeTableError
from registry.tables.log import snapshot
from registry.tables.pixels import MAX_ARRAY_BYTES

__all__ = ["NOWHERE", "Places", "Stored", "asset_rows", "places_of"]

NOWHERE: Final = -1
"""File of a sample that lacks the asset."""

_COLUMNS: Final = (
    "sample", "asset", "pixels", "href", "shape", "dtype", "nodata", "times", "transform",
)  # fmt: skip
_DIMENSIONS: Final = (3, 4)
_SERIES: Final = 4
_DIGEST: Final = 32
_JPEG: Final = 0  # in the index's list of codecs; such files may hold more than pixels
_PART: Final = 1_000_000  # rows that are looked at together
_SLACK: Final = 2**16  # bytes that packing may add at most

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where the rows of ``pixels`` lie: one entry an array that was looked up."""

    files: tuple[Path, ...]
    """The data files of the table."""

    file: npt.NDArray[np.int32]
    """Which file, or ``NOWHERE``."""

    group: npt.NDArray[np.int32]
    """Which row group of it."""

    row: npt.NDArray[np.int32]
    """Which row of the group."""

    offset: Numbers
    """First byte of the payload; 0 where it must be read through Parquet."""

    length: Numbers
    """Bytes of the payload."""

    codec: npt.NDArray[np.uint8]
    """How it is packed, by its place in the index's own list."""

    digest: npt.NDArray[np.bytes_] | None = None
    """Names of the arrays, where files are elsewhere, so that parts of them can be checked."""

    def taken(self, samples: Numbers) -> "Stored":
        """Return where some of them lie, in the order asked for."""
        return Stored(
            files=self.files,
            file=self.file[samples],
            group=self.group[samples],
            row=self.row[samples],
            offset=self.offset[samples],
            length=self.length[samples],
            codec=self.codec[samples],
            digest=None if self.digest is None else self.digest[samples],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where one asset of each sample lies, and what it is; lacking samples have ``NOWHERE``."""

    asset: str
    """The asset's name."""

    stored: Stored = field(repr=False)
    """Where its payloads lie."""

    form: npt.NDArray[np.int32] = field(repr=False)
    """Which of ``forms`` it has; -1 where it lacks."""

    forms: tuple[tuple[str, tuple[int, ...]], ...]
    """Dtype and shape of those that occur."""

    nodata: npt.NDArray[np.float64] = field(repr=False)
    """Value that means nothing was observed; NaN where there is none, or where NaN does."""

    rows: Numbers = field(repr=False)
    """Row of the table of assets that each sample is from; -1 where it lacks."""

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        """Which samples have the asset."""
        return np.asarray(self.form >= 0)

    @property
    def series(self) -> bool:
        """Whether it has a time axis."""
        return any(len(shape) == _SERIES for _, shape in self.forms)


def asset_rows(version: Version, ids: pa.StringArray) -> pa.Table:
    """Return the rows of ``assets`` of some samples, with the number of each row's sample.

    Args:
        version: Of which version.
        ids: Ids of the samples; a sample's number is its place here.

    Returns:
        What pixels are found by, and ``number``.

    Raises:
        NotFoundError: The version has no assets.
    """
    parts: list[pa.Table] = []
    for rows in _large_parts(version.scan("assets", _COLUMNS)):
        number = pc.index_in(rows["sample"], value_set=ids)
        parts.append(rows.append_column("number", number).filter(pc.is_valid(number)))
    if not parts:
        raise NotFoundError(
            f"{version.ref} has no assets", hint="ingest data into it, or stream another version"
        )
    return pa.concat_tables(parts).combine_chunks()


def _large_parts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield rows in parts, few because each look-up hashes all ids, yet not all at once."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= _PART:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def places_of(
    version: Version, rows: pa.Table, assets: Sequence[str], ids: pa.StringArray
) -> dict[str, Places]:
    """Return where assets lie.

    Args:
        version: Of which version.
        rows: What :func:`asset_rows` returned.
        assets: Which assets.
        ids: Ids of the samples.

    Raises:
        InvalidInputError: One is kept by reference, or its row says no shape that an array has.
        UnsafeTableError: A row points to pixels that are not there.
    """
    chosen = {name: same(rows["asset"], name) for name in assets}
    found = {}
    for name, where in chosen.items():
        of = rows.append_column("row", column(np.arange(len(rows)))).filter(where)
        _refuse_references(of, name)
        found[name] = _placed(version, of.combine_chunks(), name, ids)
    return found


def _refuse_references(rows: pa.Table, asset: str) -> None:
    away = rows.filter(pc.is_null(rows["pixels"]))
    if len(away):
        sample, href = away["sample"][0].as_py(), away["href"][0].as_py()
        raise InvalidInputError(
            f"asset {asset!r} of sample {sample!r} is kept by reference, at {href}; "
            f"{len(away):,} are",
            hint=f"ingest it as chips, or leave it out: assets=[…] without {asset!r}",
        )


def _placed(version: Version, rows: pa.Table, asset: str, ids: pa.StringArray) -> Places:
    count = len(ids)
    sample = numbers(rows["number"])
    if len(sample) and np.bincount(sample).max() > 1:
        raise UnsafeTableError(
            f"a sample of {version.ref} has asset {asset!r} twice", hint="run eolab fsck"
        )
    forms, codes = _forms(rows, asset)
    stored = _lookup(version, rows, asset)
    _check_lengths(stored, forms, codes, rows)
    row = np.full(count, -1, np.int64)
    row[sample] = numbers(rows["row"])
    nodata = numbers(rows["nodata"], np.nan)
    return Places(
        asset=asset,
        stored=Stored(
            files=stored.files,
            file=_spread(stored.file, sample, count, NOWHERE),
            group=_spread(stored.group, sample, count, 0),
            row=_spread(stored.row, sample, count, 0),
            offset=_spread(stored.offset, sample, count, 0),
            length=_spread(stored.length, sample, count, 0),
            codec=_spread(stored.codec, sample, count, 0),
            digest=None if stored.digest is None else _spread(stored.digest, sample, count, b""),
        ),
        form=_spread(codes, sample, count, -1),
        forms=forms,
        nodata=_spread(nodata, sample, count, np.nan),
        rows=row,
    )


def _spread(
    values: npt.NDArray[Any], sample: Numbers, count: int, without: float | bytes
) -> npt.NDArray[Any]:
    whole = np.full(count, without, values.dtype)
    whole[sample] = values
    return whole


def _forms(
    rows: pa.Table, asset: str
) -> tuple[tuple[tuple[str, tuple[int, ...]], ...], npt.NDArray[np.int32]]:
    """Return the dtypes and shapes that occur, and which each row has.

    Raises:
        InvalidInputError: A shape is none that an array has.
    """
    shapes = rows["shape"].combine_chunks()
    lengths = numbers(pc.list_value_length(shapes), 0)
    sides = np.zeros((len(rows), _SERIES), np.int64)
    flat = numbers(shapes.flatten(), 0)
    bad = bool((~np.isin(lengths, _DIMENSIONS)).any())
    if not bad:
        starts = np.cumsum(lengths) - lengths
        for axis in range(_SERIES):
            has = lengths > axis
            sides[has, axis] = flat[starts[has] + axis]
        bad = bool((sides < 1)[np.arange(_SERIES) < lengths[:, None]].any())
    if bad:
        at = int(np.argmax(~np.isin(lengths, _DIMENSIONS)))
        raise InvalidInputError(
            f"asset {asset!r} of sample {rows['sample'][at].as_py()!r} has the shape "
            f"{rows['shape'][at].as_py()}",
            hint="arrays are (band, y, x) or (time, band, y, x), every side at least 1",
        )
    dtypes = rows["dtype"].combine_chunks().dictionary_encode()
    names = dtypes.dictionary.to_pylist()
    keys = np.column_stack([sides, lengths, numbers(dtypes.indices, -1)])
    if len(keys) and (keys == keys[0]).all():  # as it should be
        found, codes = keys[:1], np.zeros(len(keys), np.int64)
    else:
        found, inverse = np.unique(keys, axis=0, return_inverse=True)
        codes = inverse.reshape(-1)
    forms = tuple(
        (
            str(names[int(one[-1])]) if one[-1] >= 0 else "",
            tuple(int(side) for side in one[: int(one[-2])]),
        )
        for one in found
    )
    return forms, codes.astype(np.int32)


def _lookup(version: Version, rows: pa.Table, asset: str) -> Stored:
    """Return where each row's pixels lie, by one search over the indexes of all data files.

    Raises:
        UnsafeTableError: Pixels are not there, or are not named by a digest.
    """
    found = snapshot(version.root, "pixels")
    # Copies, past the cache: a mapped index holds a descriptor, and there may be thousands.
    parts = [np.array(entries_of.__wrapped__(found.folder, file)) for file in found.files]
    digests = rows["pixels"].combine_chunks()
    if (numbers(pc.binary_length(digests), _DIGEST) != _DIGEST).any():
        raise UnsafeTableError(
            f"asset {asset!r} names pixels by something else than a digest", hint="run eolab fsck"
        )
    asked = _as_numbers(digests)
    entries = np.concatenate(parts) if parts else np.empty(0, _entry())
    of_file = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    at = _search(np.ascontiguousarray(entries["sha256"]), asked)
    lost = np.flatnonzero(at < 0)
    if len(lost):
        sample = rows["sample"][int(lost[0])].as_py()
        raise UnsafeTableError(
            f"asset {asset!r} of sample {sample!r} points to pixels that are not there",
            hint="run eolab fsck",
        )
    hits = entries[at]
    files = tuple(found.folder / file.path for file in found.files)
    return Stored(
        files=files,
        digest=asked if any(map(lazy.is_placeholder, files)) else None,
        file=of_file[at].astype(np.int32),
        group=hits["group"].astype(np.int32),
        row=hits["row"].astype(np.int32),
        offset=hits["offset"].astype(np.int64),
        length=hits["length"].astype(np.int64),
        codec=hits["codec"].astype(np.uint8),
    )


def _as_numbers(digests: pa.BinaryArray) -> npt.NDArray[np.bytes_]:
    """Return digests, all of 32 bytes, without making an object of each."""
    _, offsets, data = digests.buffers()
    if not len(digests):
        return np.empty(0, "S32")
    first = int(np.frombuffer(offsets, np.int32)[digests.offset])
    return np.frombuffer(data, "S32", count=len(digests), offset=first)


def _entry() -> np.dtype[np.void]:
    return np.dtype([("sha256", "S32"), ("group", "<u4"), ("row", "<u4"), ("offset", "<u8"),
                     ("length", "<u8"), ("codec", "u1")])  # fmt: skip


def _search(there: npt.NDArray[np.bytes_], asked: npt.NDArray[np.bytes_]) -> Numbers:
    """Return where each digest is; -1 where it is not.

    Numbers sort faster than text, so the first eight bytes decide; digests that share them with
    another one, which chance does not bring about, are compared whole.
    """
    if not len(there):
        return np.full(len(asked), -1, np.int64)
    prefix = there.view(">u8").reshape(len(there), -1)[:, 0].astype(np.uint64)
    wanted = asked.view(">u8").reshape(len(asked), -1)[:, 0].astype(np.uint64)
    order = np.argsort(prefix, kind="stable")
    at = order[np.minimum(np.searchsorted(prefix[order], wanted), len(order) - 1)]
    wrong = np.flatnonzero(there[at] != asked)
    if len(wrong):
        whole = np.argsort(there, kind="stable")
        again = np.searchsorted(there[whole], asked[wrong])
        at[wrong] = whole[np.minimum(again, len(whole) - 1)]
        at[wrong[there[at[wrong]] != asked[wrong]]] = -1
    return at.astype(np.int64)


def _check_lengths(
    stored: Stored,
    forms: Sequence[tuple[str, tuple[int, ...]]],
    codes: npt.NDArray[np.int32],
    rows: pa.Table,
) -> None:
    """Refuse payloads larger than any array that packs into them, before memory is taken.

    Raises:
        UnsafeTableError: One is.
    """
    most: Mapping[int, int] = {
        code: min(_bytes_of(form), MAX_ARRAY_BYTES) for code, form in enumerate(forms)
    }
    limits = np.array([most[code] for code in range(len(forms))], np.int64)[codes]
    limits = np.where(stored.codec == _JPEG, MAX_ARRAY_BYTES, limits) + _SLACK
    wrong = (stored.length > limits) | (stored.length < 0) | (stored.offset < 0)
    large = np.flatnonzero(wrong)
    if len(large):
        at = int(large[0])
        raise UnsafeTableError(
            f"pixels of sample {rows['sample'][at].as_py()!r} take {stored.length[at]:,} bytes "
            f"packed at {stored.offset[at]:,}, which cannot be",
            hint="run eolab fsck",
        )


def _bytes_of(form: tuple[str, tuple[int, ...]]) -> int:
    dtype, shape = form
    try:
        size = np.dtype(dtype or "void").itemsize
    except TypeError:
        size = 1
    for side in shape:
        size *= side
    return size
