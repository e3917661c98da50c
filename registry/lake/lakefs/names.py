"""Names of branches and tags, as a lakeFS server can hold them."""

import re

from registry.errors import InvalidInputError
from registry.lake.names import check_branch, check_tag

__all__ = [
    "HIDDEN", "OWN", "branch_here", "branch_on_server", "is_hidden_key", "tag_here",
    "tag_on_server",
]  # fmt: skip

OWN = "eolab-"
"""What the names of our own hidden branches begin with."""

HIDDEN = ("_eolab/", "_lakefs_actions/")
"""Below these keys lies what belongs to us and to the server, not to a dataset."""

_ESCAPE = re.compile(r"_x([0-9a-f]{2})_|__")
_NEEDS_ESCAPE = re.compile(r"_(?=[_/.+]|x[0-9a-f]{2}_)|(?<=[_/])_|[.+]")


def is_hidden_key(key: str) -> bool:
    """Return whether an object belongs to the machinery, not to a dataset."""
    return key.startswith(HIDDEN)


def branch_on_server(name: str) -> str:
    """Return what a branch is called on the server, which allows letters, digits, ``_``, ``-``.

    Examples:
        >>> branch_on_server("anna/fix_roads.2")
        'anna__fix_roads_x2e_2'
    """
    return _encode(name, keep="")


def branch_here(name: str) -> str | None:
    """Return what a branch of the server is called here; None if it is none that we can name.

    Examples:
        >>> branch_here("anna__fix_roads_x2e_2")
        'anna/fix_roads.2'
    """
    return _decode(name, keep="", tag=False)


def tag_on_server(name: str) -> str:
    """Return what a tag is called on the server, which allows dots in it.

    Examples:
        >>> tag_on_server("derived/v1.0")
        'derived__v1.0'
    """
    return _encode(name, keep=".")


def tag_here(name: str) -> str | None:
    """Return what a tag of the server is called here; None if it is none that we can name."""
    return _decode(name, keep=".", tag=True)


def _encode(name: str, *, keep: str) -> str:
    def escape(match: re.Match[str]) -> str:
        return match[0] if match[0] in keep else f"_x{ord(match[0]):02x}_"

    escaped = _NEEDS_ESCAPE.sub(escape, name).replace("/", "__")
    return f"_x65_{escaped[1:]}" if escaped.startswith(OWN) else escaped


def _decode(name: str, *, keep: str, tag: bool) -> str | None:
    found = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else "/", name)
    try:
        (check_tag if tag else check_branch)(found)
    except InvalidInputError:
        return None
    return found if _encode(found, keep=keep) == name else None
