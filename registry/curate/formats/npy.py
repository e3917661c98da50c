"""NumPy's own files of one array, opened without unpickling anything.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).

References:
    NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays", versions 1.0 to 3.0.
"""

import math
from io import BytesIO
from tokenize import TokenError
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.formats.containers import Container, Variable
from registry.curate.formats.decoded import UnreadableError, check_declared, one_line
from registry.tables.pixels import DTYPES

__all__ = ["open_npy"]

_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_WRONG: Final = (ValueError, TypeError, SyntaxError, EOFError, RecursionError, TokenError)
"""What a header that is no literal of Python may end in; none of it is ever run."""


def open_npy(data: bytes) -> Container:
    """Return the one array of a file, called ``data``.

    Args:
        data: The whole file.

    Raises:
        UnreadableError: It is damaged, holds objects, or is shorter than it says.
    """
    file = BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        header = _HEADERS[version](file)
    except KeyError as error:
        raise UnreadableError(
            "format-refused", "is of a version of NumPy's format that is not read", "save it again"
        ) from error
    except _WRONG as error:
        raise UnreadableError(
            "unreadable", f"cannot be read: {one_line(error)}", "fetch the file again"
        ) from error
    shape, by_column, dtype = header
    return Container(
        driver="NPY", variables={"data": _variable(data, file.tell(), shape, by_column, dtype)}
    )


def _variable(
    data: bytes,
    start: int,
    shape: tuple[int, ...],
    by_column: bool,  # noqa: FBT001 — in the order of NumPy's header
    dtype: np.dtype[Any],
) -> Variable:
    is_plain = not dtype.hasobject and dtype.newbyteorder("=").name in DTYPES

    def read() -> npt.NDArray[Any]:
        count = math.prod(shape)
        check_declared(count * dtype.itemsize, len(data))
        if start + count * dtype.itemsize > len(data):
            raise UnreadableError("unreadable", "is cut short", "fetch the file again")
        flat = np.frombuffer(data, dtype, count, start)
        return flat.reshape(shape, order="F" if by_column else "C")

    return Variable(
        name="data",
        axes=("",) * len(shape),
        shape=shape,
        dtype=dtype if is_plain else None,
        read=read,
    )
