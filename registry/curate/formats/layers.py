"""Files that hold several arrays: which of them an asset is, written behind the file's path.

``10186/semantic.h5/data[0]`` is the first plane of the array ``data`` of that file, and
``a.nc/B*,!B10`` all bands of ``a.nc`` but one. No listing can hold such a path, because a file is
no folder.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from registry.errors import InvalidInputError

__all__ = ["ABSENT", "LAYERED_SUFFIXES", "Layer", "split_layer"]

ABSENT: Final = "absent-layer"
"""Check of a file that is sound, but has no such array."""

LAYERED_SUFFIXES: Final = (".h5", ".hdf5", ".he5", ".nc", ".nc4", ".npy")
"""How the names of such files end: HDF5, netCDF and NumPy's own."""

_SUFFIX: Final = "|".join(map(re.escape, LAYERED_SUFFIXES))
_WITHIN: Final = re.compile(rf"(?P<file>.+?(?:{_SUFFIX}))/(?P<layer>[^/]+)", re.IGNORECASE)
_LAYER: Final = re.compile(
    r"(?P<names>[^\[\]]+)(?:\[(?P<start>\d{1,6})(?P<rest>:(?P<stop>\d{1,6})?)?\])?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Which arrays of a file, and which of their planes."""

    wanted: tuple[str, ...]
    """Names, or patterns with ``*``, of arrays."""

    unwanted: tuple[str, ...] = ()
    """Patterns of arrays that are left out, though they are wanted."""

    planes: slice | None = None
    """Along the axis of bands; all if None."""

    @classmethod
    def parse(cls, text: str) -> "Layer":
        """Return what stands behind a file's path.

        Args:
            text: Patterns with commas between, ``!`` before what is left out, and planes in
                brackets.

        Raises:
            InvalidInputError: It is none.

        Examples:
            >>> layer = Layer.parse("B*,!B1?")
            >>> layer.has("B02"), layer.has("B10"), layer.has("SCL")
            (True, False, False)
            >>> Layer.parse("data[1:]").planes
            slice(1, None, None)
        """
        found = _LAYER.fullmatch(text)
        if found is None:
            raise InvalidInputError(
                f"{text[:80]!r} names no array of a file", hint="write names, as in data[0] or B*"
            )
        names = found["names"].split(",")
        planes = None
        if found["start"] is not None:
            start = int(found["start"])
            open_end = found["rest"] is not None
            stop = int(found["stop"]) if found["stop"] else None
            planes = slice(start, stop if open_end else start + 1)
        return cls(
            wanted=tuple(name for name in names if not name.startswith("!")),
            unwanted=tuple(name[1:] for name in names if name.startswith("!")),
            planes=planes,
        )

    def has(self, name: str) -> bool:
        """Return whether an array of this name is meant."""
        return any(fnmatchcase(name, one) for one in self.wanted) and not any(
            fnmatchcase(name, one) for one in self.unwanted
        )

    def names(self, name: str) -> bool:
        """Return whether it is meant by its own name, not by a pattern."""
        return name in self.wanted


def split_layer(path: str) -> tuple[str, str | None]:
    """Return the file of a path, and the layer of it that the path names.

    Args:
        path: As in ``PLAN_ASSETS.file``.

    Returns:
        The file and its layer; the path itself and None if it names no layer.

    Examples:
        >>> split_layer("10186/semantic.h5/data[0]")
        ('10186/semantic.h5', 'data[0]')
        >>> split_layer("10186/semantic.h5")
        ('10186/semantic.h5', None)
    """
    found = _WITHIN.fullmatch(path)
    return (found["file"], found["layer"]) if found else (path, None)
