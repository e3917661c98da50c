"""One chip out of many: an index beside each data file of ``pixels``, and one read a chip.

Delta keeps no statistics on a hash, so an engine would look through every file. The index of a
data file, ``pixels/_index/<file>.npy``, says where each payload lies; it never changes, because
the data file does not, and is made again where it is missing.
"""

import functools
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.errors import NotFoundError
from registry.lake import lazy
from registry.tables.bounds import may_hold
from registry.tables.errors import UnsafeTableError
from registry.tables.log import DataFile, Root, Snapshot, snapshot
from registry.tables.pages import locate_values
from registry.tables.pixels import CODECS, JPEG, decode

__all__ = [
    "Chip",
    "ChipIndex",
    "ChipNotFoundError",
    "load",
    "read_chip",
    "read_chips",
    "untrue_indexes",
    "write_index",
]

_FOLDER = "_index"
_ENTRY = np.dtype([
    ("sha256", "S32"),
    ("group", "<u4"),
    ("row", "<u4"),  # in its row group
    ("offset", "<u8"),  # 0: not plain in the file, read it through Parquet
    ("length", "<u8"),
    ("codec", "u1"),
])
_CODECS = (JPEG, *CODECS)  # their places are written down: append only
_NO_CODEC = 255


class ChipNotFoundError(NotFoundError):
    """No row of ``pixels`` has this digest, or no asset of this name has pixels."""

    code = "chip-not-found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """The packed bytes of one row of ``pixels``."""

    sha256: bytes
    """Its digest, 32 bytes."""

    codec: str
    """How ``data`` are packed."""

    data: bytes
    """The packed bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipIndex:
    """Where every row of one ``pixels`` table lies; safe to share between threads."""

    files: tuple[tuple[Path, np.ndarray], ...]
    """Each data file with its entries, sorted by digest."""

    @classmethod
    def open(cls, root: Root) -> "ChipIndex":
        """Return the index of a dataset's pixels; nothing is read yet.

        Raises:
            TableNotFoundError: The dataset has no pixels.
        """
        return cls.of(snapshot(root, "pixels"))

    @classmethod
    def of(cls, found: Snapshot) -> "ChipIndex":
        """Return the index of a snapshot of ``pixels``."""
        return cls(
            files=tuple((found.folder / f.path, entries_of(found.folder, f)) for f in found.files)
        )

    def __len__(self) -> int:
        return sum(len(entries) for _, entries in self.files)

    def __contains__(self, sha256: object) -> bool:
        return isinstance(sha256, bytes) and bool(self.has([sha256])[0])

    def has(self, digests: Sequence[bytes]) -> np.ndarray:
        """Return whether there is a row for each digest; boolean, shape ``(len(digests),)``."""
        asked = np.array(digests, dtype="S32")
        there = np.zeros(len(asked), dtype=bool)
        for _, entries in self.files:
            there |= _found(entries, asked)[0]
        return there

    def read(self, digests: Iterable[bytes]) -> list[Chip]:
        """Return chips in the order asked for, each by one read of its own bytes.

        Raises:
            ChipNotFoundError: One of them is not there.
        """
        wanted = list(digests)
        asked = np.array(wanted, dtype="S32")
        chips: list[Chip | None] = [None] * len(wanted)
        for path, entries in self.files:
            there, places = _found(entries, asked)
            positions = [int(i) for i in np.flatnonzero(there) if chips[i] is None]
            rows = [entries[places[i]] for i in positions]
            for i, data in zip(positions, _payloads(path, rows), strict=True):
                codec = _codec(path, entries[places[i]])
                chips[i] = Chip(sha256=wanted[i], codec=codec, data=data)
        for digest, chip in zip(wanted, chips, strict=True):
            if chip is None:
                raise ChipNotFoundError(
                    f"no chip has the digest {digest.hex()}",
                    hint="eolab fsck says whether a file is missing",
                )
        return [chip for chip in chips if chip is not None]


def read_chip(root: Root, sha256: bytes) -> bytes:
    """Return the packed bytes of one chip.

    Raises:
        ChipNotFoundError: It is not there.
    """
    return ChipIndex.open(root).read([sha256])[0].data


def read_chips(root: Root, digests: Iterable[bytes]) -> list[Chip]:
    """Return chips in the order asked for.

    Raises:
        ChipNotFoundError: One of them is not there.
    """
    return ChipIndex.open(root).read(digests)


def load(root: Root, sample: str, asset: str) -> np.ndarray:
    """Return the pixels of one asset of one sample.

    Args:
        root: The dataset's folder.
        sample: The sample's id.
        asset: The asset's name.

    Returns:
        ``(band, y, x)`` or ``(time, band, y, x)``, as the asset says.

    Raises:
        ChipNotFoundError: There is no such asset, or it is by reference.
        UnsafeArrayError: The stored bytes are not what the asset says.
    """
    found = snapshot(root, "assets")
    where = (pc.field("sample") == sample) & (pc.field("asset") == asset)
    import pyarrow.dataset as ds  # late: it brings pandas along

    paths = found.paths([
        one for one in found.files if may_hold(one, "sample", low=sample, high=sample)
    ])
    lazy.ensure(*paths)
    dataset = ds.dataset(paths, schema=found.arrow)
    rows = dataset.to_table(columns=["pixels", "dtype", "shape"], filter=where).to_pylist()
    if not rows or rows[0]["pixels"] is None:
        raise ChipNotFoundError(
            f"sample {sample!r} has no pixels of an asset {asset!r}",
            hint="list its assets, and whether they are by reference, in the table assets",
        )
    row = rows[0]
    (chip,) = read_chips(root, [row["pixels"]])
    return decode(chip.data, codec=chip.codec, dtype=row["dtype"], shape=row["shape"])


def write_index(folder: Path, file: DataFile) -> None:
    """Write the index of one data file of ``pixels``.

    Args:
        folder: The table's folder.
        file: The data file.
    """
    target = index_path(folder, file)
    if target.exists():
        return
    entries = _build(folder / file.path)
    target.parent.mkdir(exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as out:
        np.save(out, entries, allow_pickle=False)
    unfinished.replace(target)


def index_path(folder: Path, file: DataFile) -> Path:
    return folder / _FOLDER / f"{Path(file.path).stem}.npy"


def untrue_indexes(root: Root) -> list[str]:
    """Return which files of ``pixels`` have an index that says something else than they do.

    Args:
        root: The dataset's folder; its rows may have come from elsewhere.
    """
    found = snapshot(root, "pixels")
    return [
        file.path
        for file in found.files
        if not np.array_equal(entries_of(found.folder, file), _build(found.folder / file.path))
    ]


@functools.lru_cache(maxsize=512)
def entries_of(folder: Path, file: DataFile) -> np.ndarray:
    path = index_path(folder, file)
    size = (folder / file.path).stat().st_size
    try:
        entries = np.load(path, mmap_mode="r", allow_pickle=False)
        ends = entries["offset"] + entries["length"]
        fits = entries.dtype == _ENTRY and entries.ndim == 1 and not path.is_symlink()
        if fits and (not len(ends) or ends.max() <= size):
            return np.asarray(entries)
    except (OSError, ValueError, IndexError, EOFError):
        pass  # missing or damaged: it says nothing that the data file does not
    return _build(folder / file.path)


def _build(path: Path) -> np.ndarray:
    lazy.ensure(path)
    try:
        with pq.ParquetFile(path) as file, path.open("rb") as raw:
            parts = [
                _group_entries(file, raw.fileno(), group) for group in range(file.num_row_groups)
            ]
    except (pa.ArrowException, OSError) as error:
        raise UnsafeTableError(
            f"data file {path.name} of pixels cannot be read", hint="eolab fsck finds out more"
        ) from error
    entries = np.concatenate(parts) if parts else np.empty(0, _ENTRY)
    return entries[np.argsort(entries["sha256"], kind="stable")]


def _group_entries(file: pq.ParquetFile, descriptor: int, group: int) -> np.ndarray:
    rows = file.read_row_group(group, columns=["sha256", "codec"])
    entries = np.zeros(rows.num_rows, _ENTRY)
    entries["sha256"] = rows.column("sha256").to_pylist()
    entries["group"] = group
    entries["row"] = np.arange(rows.num_rows)
    codes = {codec: code for code, codec in enumerate(_CODECS)}
    entries["codec"] = [codes.get(codec, _NO_CODEC) for codec in rows.column("codec").to_pylist()]
    column = file.schema_arrow.get_field_index("data")
    with mmap(descriptor, 0, access=ACCESS_READ) as data:
        required = file.schema.column(column).max_definition_level == 0
        chunk = file.metadata.row_group(group).column(column)
        places = locate_values(data, chunk, required=required)
    if places is not None and len(places) == len(entries):
        entries["offset"] = [offset for offset, _ in places]
        entries["length"] = [length for _, length in places]
    return entries


def _found(entries: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the digests a file has, and at which entries."""
    if not len(entries):
        return np.zeros(len(asked), dtype=bool), np.zeros(len(asked), dtype=np.int64)
    places = np.minimum(np.searchsorted(entries["sha256"], asked), len(entries) - 1)
    return entries["sha256"][places] == asked, places


def _payloads(path: Path, rows: Sequence[np.void]) -> list[bytes]:
    if not rows:
        return []
    lazy.ensure(path)
    with path.open("rb") as file:
        plain = {
            i: os.pread(file.fileno(), int(row["length"]), int(row["offset"]))
            for i, row in enumerate(rows)
            if row["offset"]
        }
    packed: dict[int, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if not row["offset"]:
            packed[int(row["group"])].append(i)
    for group, members in packed.items():
        with pq.ParquetFile(path) as parquet:
            column = parquet.read_row_group(group, columns=["data"]).column("data")
        plain |= {i: column[int(rows[i]["row"])].as_py() for i in members}
    return [plain[i] for i in range(len(rows))]


def _codec(path: Path, row: np.void) -> str:
    code = int(row["codec"])
    if code >= len(_CODECS):
        raise UnsafeTableError(
            f"a row of {path.name} has a codec that the lab does not know",
            hint="the table was written by something else",
        )
    return _CODECS[code]
