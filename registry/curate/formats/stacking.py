"""Single-band files on one grid become one array, with what each of them says of its bands.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import numpy as np

from registry.curate.formats.decoded import Decoded, Header, UnreadableError
from registry.tables.pixels import MAX_ARRAY_BYTES

__all__ = ["stacked"]

_PER_BAND: Final[Mapping[str, object]] = {
    "bands": "", "scales": 1.0, "offsets": 0.0, "units": "", "colours": "gray",
}  # fmt: skip
_AXES: Final = 3  # band, y, x
_FIX: Final = "mend the file, or stack the bands of each resolution in one file"


def stacked(files: Sequence[tuple[str, Decoded]]) -> Decoded:
    """Return the files' bands as one array, in the files' order.

    Args:
        files: Path in the source and content of each; the first decides size, type and place.

    Raises:
        UnreadableError: They do not go together, or are too large together.
    """
    first_name, first = files[0]
    arrays = []
    size = 0
    for name, file in files:
        if problem := _unlike(first, file):
            raise UnreadableError(
                "bands-differ",
                f"cannot be stacked with {name!r}, which {problem}"
                if name != first_name
                else problem,
                _FIX,
            )
        if file.array is not None:
            arrays.append(file.array)
            size += file.array.nbytes
        if size > MAX_ARRAY_BYTES:
            raise UnreadableError(
                "too-large",
                f"and the files stacked with it have more than {MAX_ARRAY_BYTES:,} bytes of pixels",
                "cut them into chips",
            )
    headers = [file.header for _, file in files]
    array = np.concatenate(arrays)
    return Decoded(
        header=replace(
            first.header,
            shape=array.shape,
            said=_joined(
                tuple(header.said for header in headers),
                tuple(header.shape[0] for header in headers),
            ),
            warnings=tuple(dict.fromkeys(one for header in headers for one in header.warnings)),
        ),
        transform=first.transform,
        array=array,
    )


def _unlike(first: Decoded, other: Decoded) -> str | None:
    """Return in which respect a file does not go with the first; None if it does."""
    if other.array is None:
        return "is a JPEG, which stays as it came"
    one, two = first.header, other.header
    if one.shape[1:] != two.shape[1:] or len(one.shape) != _AXES:
        return f"is {_size(two)} pixels, not {_size(one)}"
    if one.dtype != two.dtype:
        return f"holds {two.dtype}, not {one.dtype}"
    if one.crs != two.crs or first.transform != other.transform:
        return "lies elsewhere"
    if repr(one.nodata) != repr(two.nodata):  # by text, because NaN equals nothing
        return f"has the nodata value {two.nodata}, not {one.nodata}"
    return None


def _size(header: Header) -> str:
    return f"{header.shape[2]} x {header.shape[1]}"


@lru_cache(maxsize=1 << 10)
def _joined(texts: tuple[str, ...], counts: tuple[int, ...]) -> str:
    """Return as one what files say: lists a band end to end; tags of the file where all agree.

    Args:
        texts: ``Header.said`` of each.
        counts: How many bands each has.
    """
    said: list[dict[str, Any]] = [json.loads(text) for text in texts]
    joined: dict[str, Any] = {"driver": said[0].get("driver", "GTiff")}
    for name, usual in _PER_BAND.items():
        if any(name in one for one in said):
            lists = (one.get(name, [usual] * n) for one, n in zip(said, counts, strict=True))
            joined[name] = [value for values in lists for value in values]
    lost = {name for one in said for name in one.get("lost", ())}
    joined["tags"] = _common([one.get("tags", {}) for one in said])
    joined["band_tags"] = _band_tags(said, counts, joined["tags"])
    domains = [one.get("domains", {}) for one in said]
    joined["domains"] = _common(domains)
    lost |= {name for one in domains for name in one} - joined["domains"].keys()
    joined["lost"] = sorted(lost)
    kept = {name: value for name, value in joined.items() if value}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False)


def _common(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, *rest = said
    return {
        name: value for name, value in first.items() if all(one.get(name) == value for one in rest)
    }


def _band_tags(
    said: Sequence[Mapping[str, Any]], counts: Sequence[int], common: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """Return tags by number of the band; what only some files say is said of their bands."""
    found: dict[str, dict[str, str]] = {}
    before = 0
    for one, count in zip(said, counts, strict=True):
        own = {name: value for name, value in one.get("tags", {}).items() if name not in common}
        for band in range(1, count + 1):
            if tags := own | one.get("band_tags", {}).get(str(band), {}):
                found[str(before + band)] = tags
        before += count
    return found
