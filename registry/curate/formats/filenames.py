"""What file names say: ids, times and the parts that a user's pattern names.

A name is weak evidence, so only unmistakable forms count: a name with two different dates has no
date, and a pattern is never completed from today's date.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Final

from registry.curate.formats.acquired import Acquired, acquired_in
from registry.errors import InvalidInputError

__all__ = [
    "PATHS_KNOWN",
    "NameParts",
    "NamePattern",
    "escape_id",
    "sample_ids",
    "stem",
    "time_from_name",
]

_ID_LENGTH: Final = 120
_PATTERN_LENGTH: Final = 500

# Product names say which of their dates is the acquisition; they go before the general forms.
_PRODUCTS: Final = tuple(
    re.compile(form)
    for form in (
        r"S1[A-D]_[A-Z0-9]{2}_[A-Z]{3,4}_[A-Z0-9]{4}_(?P<start>\d{8}T\d{6})_(?P<end>\d{8}T\d{6})",
        r"S2[A-D]_MSIL[12][A-C]_(?P<start>\d{8}T\d{6})(?!\d)",
        r"L[COTEM]0\d_L\w{3}_\d{6}_(?P<start>\d{8})_\d{8}",
        r"HLS(?:-VI)?\.[LS]30\.T\w{5}\.(?P<start>\d{7}(?:T\d{6})?)\.",
        r"\bM[OYC]D\w+\.A(?P<start>\d{7})\.",
        r"monthly_(?P<start>\d{4}_\d{2})_mosaic",
    )
)
_GENERAL: Final = re.compile(
    r"(?<!\d)(?:"
    r"(?:19|20)\d{6}T\d{6}"
    r"|(?:19|20)\d\d(?P<separator>[-_])\d\d(?P=separator)\d\d"
    r"|(?:19|20)\d{6}"
    r")(?!\d)"
)
_DIGITS: Final = re.compile(r"\d+")
_TOKENS: Final = {
    "%Y": r"(?P<year>\d{4})",
    "%m": r"(?P<month>\d{2})",
    "%d": r"(?P<day>\d{2})",
    "%j": r"(?P<doy>\d{3})",
    "%H": r"(?P<hour>\d{2})",
    "%M": r"(?P<minute>\d{2})",
    "%S": r"(?P<second>\d{2})",
}
_TIME_GROUPS: Final = frozenset({"year", "month", "day", "doy", "hour", "minute", "second"})
_PART_GROUPS: Final = frozenset({"id", "label", "group", "asset", "date", "time"})


PATHS_KNOWN: Final = 1 << 16
"""Paths whose parts are remembered: every format looks at every path when it is told apart."""


@lru_cache(maxsize=PATHS_KNOWN)
def stem(path: str) -> str:
    """Return a path's last part without its last suffix.

    Examples:
        >>> stem("masks/OAM-12-3.mask.tif")
        'OAM-12-3.mask'
    """
    return PurePosixPath(path).stem


def escape_id(text: str) -> str:
    """Return a text as a sample id: letters, digits, ``.``, ``_``, ``-``; 120 characters at most.

    Different texts may give one id; :func:`sample_ids` keeps them apart.

    Examples:
        >>> escape_id("Forest/Forest 12")
        'Forest__Forest_12'
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", text.replace("/", "__"))
    plain = re.sub(r"\.(?=\.)", "_", plain)
    if not plain[:1].isalnum():
        plain = f"x{plain}"
    return plain if len(plain) <= _ID_LENGTH else _marked(plain, text)


def sample_ids(keys: Iterable[str]) -> dict[str, str]:
    """Return the id of each sample, by its key.

    Args:
        keys: Source-relative paths without suffix, unique.

    Returns:
        Key to id. Where the last parts of all keys differ, they are the ids (``Forest_12`` of
        ``2750/Forest/Forest_12``); else the path below the folders that all have in common.
        Keys whose ids would be equal, also under case folding, get a hash of the key appended.

    Examples:
        >>> sample_ids(["2750/Forest/Forest_12", "2750/River/River_1"])["2750/Forest/Forest_12"]
        'Forest_12'
        >>> sorted(sample_ids(["x/train/1", "x/test/1"]).values())
        ['test__1', 'train__1']
    """
    keys = list(keys)
    names = {key: PurePosixPath(key).name for key in keys}
    if len({name.casefold() for name in names.values()}) < len(keys):
        names = _below_common(keys)
    plain = {key: escape_id(name) for key, name in names.items()}
    taken = Counter(name.casefold() for name in plain.values())
    return {
        key: name if taken[name.casefold()] == 1 else _marked(name, key)
        for key, name in plain.items()
    }


def _below_common(keys: Sequence[str]) -> dict[str, str]:
    parents = [PurePosixPath(key).parent.parts for key in keys]
    first, last = min(parents), max(parents)
    common = 0
    while common < min(len(first), len(last)) and first[common] == last[common]:
        common += 1
    return {key: "/".join(PurePosixPath(key).parts[common:]) for key in keys}


def _marked(name: str, key: str) -> str:
    mark = sha256(key.encode()).hexdigest()[:10]
    return f"{name[: _ID_LENGTH - 1 - len(mark)]}-{mark}"


@lru_cache(maxsize=PATHS_KNOWN)
def time_from_name(name: str) -> Acquired | None:
    """Return when a name says that the data were acquired.

    Read are the product names of Sentinel-1 and -2, Landsat, HLS, MODIS and Planet's monthly
    mosaics, ``YYYYMMDDTHHMMSS``, ``YYYYMMDD``, ``YYYY-MM-DD`` and ``YYYY_MM_DD``.

    Args:
        name: A file or folder name.

    Returns:
        An instant, or the whole day or month if the name says no more, UTC; None if it says
        nothing, or two different things.

    Examples:
        >>> time_from_name("Boadella_2020-01-13").start.isoformat()
        '2020-01-13T00:00:00+00:00'
        >>> time_from_name("change_20200113_20200117") is None
        True
    """
    for product in _PRODUCTS:
        if found := product.search(name):
            said = found.groupdict()
            start = _interval(said["start"])
            end = _interval(said["end"]) if said.get("end") else start
            if start and end and end.end >= start.start:
                return Acquired(start=start.start, end=end.end)
    dates = {found.group() for found in _GENERAL.finditer(name)}
    times = {time for date in dates if (time := _interval(date))}
    return times.pop() if len(times) == 1 else None


_FORMS: Final = {
    6: ("year", "month"),
    7: ("year", "doy"),
    8: ("year", "month", "day"),
    13: ("year", "doy", "hour", "minute", "second"),
    14: ("year", "month", "day", "hour", "minute", "second"),
}
_WIDTHS: Final = {"year": 4, "doy": 3}


def _interval(written: str) -> Acquired | None:
    digits = "".join(_DIGITS.findall(written))
    fields: dict[str, int] = {}
    for field in _FORMS.get(len(digits), ()):
        width = _WIDTHS.get(field, 2)
        fields[field], digits = int(digits[:width]), digits[width:]
    return acquired_in(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameParts:
    """What a pattern read in one path; None where it does not say."""

    id: str | None = None
    """The sample's id, not yet escaped."""

    label: str | None = None
    """Its scene class."""

    group: str | None = None
    """What must not straddle a split."""

    asset: str | None = None
    """Which asset of the sample the file is."""

    time: Acquired | None = None
    """When it was acquired, UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePattern:
    """A user's description of file names."""

    regex: re.Pattern[str]
    """Matches whole path parts, from the last one backwards, without the suffix."""

    @classmethod
    def parse(cls, text: str) -> "NamePattern":
        r"""Return the pattern that a text describes.

        Args:
            text: A regular expression in which ``{id}``, ``{label}``, ``{group}``, ``{asset}``
                stand for a part of a name, ``{date}`` or ``{time}`` for ``YYYYMMDD``,
                ``YYYY-MM-DD`` or ``YYYYMMDDTHHMMSS``, and
                ``%Y %m %d %j %H %M %S`` for a date's fields. Named groups of the same names
                count too; ``{anything_else}`` is matched and forgotten.

        Returns:
            The pattern.

        Raises:
            InvalidInputError: It is no regular expression, too long, or names nothing.

        Examples:
            >>> pattern = NamePattern.parse("{group}_%Y%m%d")
            >>> pattern.match("masks/POLE_20240730.tif").group
            'POLE'
            >>> NamePattern.parse("(").match("x")
            Traceback (most recent call last):
            registry.errors.InvalidInputError: name pattern '(' is not understood: ...
              hint: ...
        """
        hint = "name parts as in '{group}_%Y%m%d' or '(?P<label>[a-z]+)_(?P<id>.+)'"
        if len(text) > _PATTERN_LENGTH:
            raise InvalidInputError(
                f"the name pattern has {len(text)} characters, more than {_PATTERN_LENGTH}",
                hint=hint,
            )
        try:
            regex = re.compile(rf"(?:^|/){_expanded(text)}(?:\.[^/]*)?$")
        except re.error as error:
            raise InvalidInputError(
                f"name pattern {text!r} is not understood: {error}", hint=hint
            ) from error
        if not regex.groupindex.keys() & (_TIME_GROUPS | _PART_GROUPS):
            raise InvalidInputError(f"name pattern {text!r} names no part", hint=hint)
        return cls(regex=regex)

    def match(self, path: str) -> NameParts | None:
        """Return what the pattern reads in a path; None if the path is not of its form."""
        found = self.regex.search(path)
        if found is None:
            return None
        said = found.groupdict()
        fields = {
            name: int(value) for name, value in said.items() if name in _TIME_GROUPS and value
        }
        date = said.get("date") or said.get("time")
        return NameParts(
            id=said.get("id"),
            label=said.get("label"),
            group=said.get("group"),
            asset=said.get("asset"),
            time=_interval(date) if date else acquired_in(fields),
        )


def _expanded(text: str) -> str:
    for token, form in _TOKENS.items():
        text = text.replace(token, form, 1)
    for name in ("date", "time"):
        date = rf"(?P<{name}>\d{{8}}(?:T\d{{6}})?|\d{{4}}[-_]\d{{2}}[-_]\d{{2}})"
        text = text.replace(f"{{{name}}}", date)
    return re.sub(
        r"\{([a-z][a-z_]*)\}",
        lambda part: f"(?P<{part[1]}>[^/]+?)" if part[1] in _PART_GROUPS else "[^/]+?",
        text,
    )
