"""HDF5 and netCDF 4, opened so that a hostile file leads nowhere and declares no more than it has.

Runs in the limited child alone (:mod:`registry.curate.formats.child`). The file lies in memory; no
link is followed but those to its own arrays, no filter is loaded from disk, and sizes, chunks and
storage are looked at before anything is read. Only the root group is looked into.

References:
    The HDF Group, HDF5 File Format Specification 3.0; Unidata, NetCDF-4 Format, "dimensions as
    HDF5 dimension scales".
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from h5py import h5a, h5d, h5ds, h5f, h5g, h5i, h5l, h5o, h5s, h5t, h5z

from registry.curate.formats.containers import MOST_VARIABLES, Container, Variable
from registry.curate.formats.decoded import UnreadableError, check_declared, one_line
from registry.tables.pixels import DTYPES, MAX_ARRAY_BYTES

__all__ = ["open_hdf5"]

_MOST_CHUNKS: Final = 1 << 18
_PACKING_COST: Final = 4096  # bytes that packing what cannot be packed may add
_MOST_TEXTS: Final = 1 << 16
_LONGEST_ATTRIBUTE: Final = 1 << 16  # bytes; a CRS as text takes 4 kB
_FILTERS: Final = {
    h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF,
    h5z.FILTER_SCALEOFFSET,
}  # fmt: skip
_NO_VARIABLE: Final = b"This is a netCDF dimension but not a netCDF variable"
_NETCDF: Final = (b"_NCProperties", b"_nc3_strict")
_OWN: Final = frozenset({
    "DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "DIMENSION_LABELS", "_Netcdf4Dimid",
    "_Netcdf4Coordinates", "_NCProperties", "_nc3_strict",
})  # fmt: skip


def open_hdf5(data: bytes) -> Container:
    """Return what a file holds in its root group.

    Args:
        data: The whole file.

    Raises:
        UnreadableError: It is damaged, or leads or may lead out of itself.
    """
    with _translated():
        file = h5f.open_file_image(data)
        root = h5g.open(file, b"/")
        variables: dict[str, Variable] = {}
        left_out = []
        for name in _names(root):
            if h5o.get_info(root, name).type != h5o.TYPE_DATASET:
                left_out.append(_text(name))
                continue
            dataset = h5d.open(root, name)
            _check_storage(dataset, _text(name))
            if dataset.get_space().get_simple_extent_type() == h5s.NULL or _is_bare(dataset):
                continue
            variables[_text(name)] = _variable(dataset, _text(name), len(data))
        is_netcdf = any(h5a.exists(root, name) for name in _NETCDF)
        return Container(
            driver="netCDF" if is_netcdf or _has_scales(variables) else "HDF5",
            variables=variables,
            attributes=_attributes(root),
            left_out=tuple(left_out),
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise UnreadableError(
            "unreadable", f"cannot be read: {one_line(error)}", "fetch the file again"
        ) from error


def _names(root: h5g.GroupID) -> list[bytes]:
    names: list[bytes] = []
    links: list[bytes] = []

    def take(name: bytes, info: Any) -> bool | None:  # noqa: ANN401 — h5py has no types
        (names if info.type == h5l.TYPE_HARD else links).append(name)
        return True if links or len(names) > MOST_VARIABLES else None

    root.links.iterate(take, info=True)
    if links:
        raise UnreadableError(
            "format-refused",
            f"has a link {_text(links[0])!r} that may lead to another file",
            "put the array itself in its place: h5repack, or copy it with h5py",
        )
    if len(names) > MOST_VARIABLES:
        raise UnreadableError(
            "too-large", f"holds more than {MOST_VARIABLES:,} arrays", "split it into several files"
        )
    return names


def _check_storage(dataset: h5d.DatasetID, name: str) -> None:
    """Refuse what may lie in other files, needs code from outside, or is laid out as a trap.

    Raises:
        UnreadableError: It does.
    """
    how = dataset.get_create_plist()
    if how.get_layout() == h5d.VIRTUAL or how.get_external_count():
        raise UnreadableError(
            "format-refused",
            f"has {name!r}, which lies in other files",
            "copy the values into one file with h5repack",
        )
    for number in range(how.get_nfilters()):
        code = how.get_filter(number)[0]
        if code not in _FILTERS:
            raise UnreadableError(
                "format-refused",
                f"has {name!r} packed by filter {code}, which is not read",
                "pack it by deflate: h5repack -f GZIP=4",
            )
    if how.get_layout() != h5d.CHUNKED:
        return
    chunk, shape = how.get_chunk(), dataset.shape
    size = math.prod(chunk) * dataset.get_type().get_size()
    count = math.prod(-(-side // step) for side, step in zip(shape, chunk, strict=True))
    if size > MAX_ARRAY_BYTES or count > _MOST_CHUNKS:
        raise UnreadableError(
            "too-large",
            f"has {name!r} in {count:,} chunks of {size:,} bytes",
            "write it again in chunks of about a megabyte",
        )


def _check_chunks(dataset: h5d.DatasetID, name: str) -> None:
    """Refuse chunks that are larger packed than unpacked: they unpack to something else.

    Raises:
        UnreadableError: There is one.
    """
    how = dataset.get_create_plist()
    if how.get_layout() != h5d.CHUNKED:
        return
    whole = math.prod(how.get_chunk()) * dataset.get_type().get_size()
    most = whole + whole // 8 + _PACKING_COST
    sizes: list[int] = []

    def take(stored: Any) -> bool | None:  # noqa: ANN401 — h5py has no types
        sizes.append(stored.size)
        return True if stored.size > most else None

    dataset.chunk_iter(take)
    if sizes and sizes[-1] > most:
        raise UnreadableError(
            "too-large",
            f"has {name!r} with a chunk of {sizes[-1]:,} bytes packed for {whole:,} unpacked",
            "do not trust the file; write it again if you know it",
        )


def _is_bare(dataset: h5d.DatasetID) -> bool:
    """Return whether it only stands for a dimension of netCDF, which has no values."""
    if not h5a.exists(dataset, b"NAME"):
        return False
    said = _attribute(h5a.open(dataset, b"NAME"))
    return isinstance(said, str) and said.encode().startswith(_NO_VARIABLE)


def _has_scales(variables: dict[str, Variable]) -> bool:
    return any(any(each.axes) for each in variables.values())


def _variable(dataset: h5d.DatasetID, name: str, size: int) -> Variable:
    kind = dataset.get_type()
    dtype = _number(kind)

    def read() -> npt.NDArray[Any]:
        with _translated():
            if dtype is not None:
                check_declared(math.prod(dataset.shape) * dtype.itemsize, size)
                _check_chunks(dataset, name)
                values = np.empty(dataset.shape, dtype)
            else:
                _check_texts(kind, dataset.shape, name)
                values = np.empty(dataset.shape, kind.dtype)
            dataset.read(h5s.ALL, h5s.ALL, values)
            return values

    return Variable(
        name=name,
        axes=_axes(dataset, name),
        shape=tuple(dataset.shape),
        dtype=dtype,
        attributes=_attributes(dataset),
        read=read,
    )


def _number(kind: h5t.TypeID) -> np.dtype[Any] | None:
    """Return the dtype of plain numbers and truth values; None for all else."""
    if kind.get_class() not in {h5t.INTEGER, h5t.FLOAT, h5t.ENUM}:
        return None
    dtype: np.dtype[Any] = kind.dtype
    if dtype.newbyteorder("=").name not in DTYPES:
        return None
    return np.dtype(dtype.str)  # without h5py's metadata


def _check_texts(kind: h5t.TypeID, shape: tuple[int, ...], name: str) -> None:
    if kind.get_class() != h5t.STRING:
        raise UnreadableError(
            "dtype", f"has {name!r}, which holds neither numbers nor texts", "convert it to numbers"
        )
    count = math.prod(shape)
    length = 1 if kind.is_variable_str() else kind.get_size()
    if count > _MOST_TEXTS or count * length > MAX_ARRAY_BYTES >> 4:
        raise UnreadableError(
            "too-large", f"has {count:,} texts in {name!r}", "write times as numbers"
        )


def _axes(dataset: h5d.DatasetID, name: str) -> tuple[str, ...]:
    if h5ds.is_scale(dataset):
        return (name,) if len(dataset.shape) == 1 else ("",) * len(dataset.shape)
    if not h5a.exists(dataset, b"DIMENSION_LIST"):
        return ("",) * len(dataset.shape)
    return tuple(_scale(dataset, axis) for axis in range(len(dataset.shape)))


def _scale(dataset: h5d.DatasetID, axis: int) -> str:
    if h5ds.get_num_scales(dataset, axis) < 1:
        return ""
    names: list[str] = []

    def take(scale: h5d.DatasetID) -> bool:
        names.append(_text(h5i.get_name(scale) or b"").removeprefix("/"))
        return True  # the first is the dimension's own

    h5ds.iterate(dataset, axis, take, 0)
    return names[0] if names else ""


# ------------------------------------------------------------------ attributes
def _attributes(thing: Any) -> dict[str, object]:  # noqa: ANN401 — a file, group or dataset
    count = h5a.get_num_attrs(thing)
    if count > MOST_VARIABLES:
        raise UnreadableError(
            "too-large", f"has {count:,} attributes on one array", "drop those that are not needed"
        )
    found = {}
    for index in range(count):
        attribute = h5a.open(thing, index=index)
        name = _text(attribute.name)
        value = None if name in _OWN else _attribute(attribute)
        if value is not None:
            found[name] = value
    return found


def _attribute(attribute: h5a.AttrID) -> object:
    """Return a text, a number or a tuple of numbers; None for all else, such as references."""
    kind, shape = attribute.get_type(), attribute.shape
    if attribute.get_space().get_simple_extent_type() == h5s.NULL:
        return None
    count = math.prod(shape)
    if count * kind.get_size() > _LONGEST_ATTRIBUTE or count < 1:
        return None
    if kind.get_class() == h5t.STRING:
        if count > 1:  # a thousand of them may be one long text, each with memory of its own
            return None
        values = np.empty(shape, kind.dtype)
        attribute.read(values)
        text = _text(values.reshape(-1).tolist()[0])
        return text if len(text) <= _LONGEST_ATTRIBUTE else None
    if (dtype := _number(kind)) is None:
        return None
    values = np.empty(shape, dtype)
    attribute.read(values)
    numbers = values.reshape(-1).tolist()
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.split(b"\0", 1)[0].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in str(value)).strip()
