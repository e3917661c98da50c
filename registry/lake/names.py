"""Which names a lake accepts: keys of objects, repositories, branches, tags, authors.

Keys are what lakeFS allows (UTF-8, at most 1,024 characters) minus what Git or a file system
cannot hold, so that a dataset may move between any two lakes.
"""

import os
import pwd
import re
import unicodedata
from collections.abc import Mapping

from registry.errors import InvalidInputError

__all__ = [
    "MODELS",
    "check_branch",
    "check_key",
    "check_metadata",
    "check_repository",
    "check_tag",
    "default_author",
    "split_author",
]

MODELS = "model--"
"""How the name of a repository begins that holds a model; no dataset's does."""

LONGEST_KEY = 1024
"""Characters, as lakeFS."""

LONGEST_KEY_BYTES = 3072
"""Bytes; Linux ends a whole path at 4,096 and the lake's own folder needs room."""

LONGEST_COMPONENT = 255
"""Bytes between two slashes, as ext4, XFS and Btrfs."""

_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
_REF_COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_METADATA_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_AUTHOR = re.compile(
    r"(?P<name>[^<>\x00-\x1f\x7f]*[^<>\x00-\x1f\x7f ]) <(?P<address>[^<>\s\x00]*)>"
)
_HFS_IGNORES = dict.fromkeys([
    *range(0x200C, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x206A, 0x2070),
    0xFEFF,
])
_GIT_FOLDER = re.compile(r"(\.git|git~1)[ .]*(:.*)?")
_GIT_MODULES = re.compile(r"(\.gitmodules|gitmod~[1-4]|gi7eba~[1-9])[ .]*(:.*)?")
_SAFE_KEY = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.=-]{0,99}){0,7}"
)


def check_key(key: str) -> str:
    """Return an object's key if a lake can hold it.

    Args:
        key: Path relative to the repository's root, with forward slashes.

    Raises:
        InvalidInputError: It cannot be held; the problem says which rule it breaks.

    Examples:
        >>> check_key("samples/part-0.parquet")
        'samples/part-0.parquet'
        >>> check_key("a/../b")
        Traceback (most recent call last):
        ...
        registry.errors.InvalidInputError: the key 'a/../b' has '..' in it
          hint: name the object without '.' and '..'
    """
    if _SAFE_KEY.fullmatch(key) and not _GIT_MODULES.search(key):
        return key
    _check_whole(key)
    for component in key.split("/"):
        _check_component(key, component)
    return key


def _check_whole(key: str) -> None:
    if not key:
        raise InvalidInputError("a key is empty", hint="give the object a name")
    try:
        encoded = key.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the key {key!r} is not UTF-8", hint="rename the file") from error
    if len(key) > LONGEST_KEY:
        raise InvalidInputError(
            f"the key '{key[:40]}…' has {len(key):,} characters",
            hint=f"use at most {LONGEST_KEY:,}",
        )
    if len(encoded) > LONGEST_KEY_BYTES:
        raise InvalidInputError(
            f"the key '{key[:40]}…' has {len(encoded):,} bytes, more than a path can have",
            hint=f"use at most {LONGEST_KEY_BYTES:,} bytes",
        )
    if "\\" in key:
        raise InvalidInputError(f"the key {key!r} has a backslash", hint="separate folders by '/'")
    if any(unicodedata.category(character) == "Cc" for character in key):
        raise InvalidInputError(
            f"the key {key!r} has a control character", hint="rename the file without it"
        )
    if key.startswith("/"):
        raise InvalidInputError(f"the key {key!r} starts with '/'", hint="give a relative path")
    if key.endswith("/"):
        raise InvalidInputError(
            f"the key {key!r} ends with '/'", hint="name an object; folders need not be made"
        )
    if "//" in key:
        raise InvalidInputError(f"the key {key!r} has '//' in it", hint="use single slashes")


def _check_component(key: str, component: str) -> None:
    if component in {".", ".."}:
        raise InvalidInputError(
            f"the key {key!r} has '{component}' in it", hint="name the object without '.' and '..'"
        )
    if len(component.encode()) > LONGEST_COMPONENT:
        length = len(component.encode())
        raise InvalidInputError(
            f"the key '{key[:40]}…' has a part of {length} bytes, '{component[:20]}…'",
            hint=f"file systems hold at most {LONGEST_COMPONENT} bytes between two slashes",
        )
    folded = component.translate(_HFS_IGNORES).lower()
    if _GIT_FOLDER.fullmatch(folded):
        raise InvalidInputError(
            f"the key {key!r} has '{component}' in it, which Git keeps for itself",
            hint="leave the '.git' folder out",
        )
    if _GIT_MODULES.fullmatch(folded):
        raise InvalidInputError(
            f"the key {key!r} names '{component}', which Git reads as its own settings",
            hint="leave the file out or rename it",
        )


def check_repository(name: str) -> str:
    """Return a repository's name if every lake can hold it.

    Raises:
        InvalidInputError: It is not 3 to 63 lower-case letters, digits and hyphens.
    """
    if not _REPOSITORY.fullmatch(name):
        raise InvalidInputError(
            f"{name!r} is no name for a dataset",
            hint="use 3 to 63 lower-case letters, digits and hyphens, not starting with a hyphen",
        )
    return name


def check_branch(name: str) -> str:
    """Return a branch's name if Git and the lake can hold it; it may contain slashes.

    Raises:
        InvalidInputError: Git or a file system could not hold it.
    """
    return _check_ref(name, "branch")


def check_tag(name: str) -> str:
    """Return a tag's name if Git and the lake can hold it.

    Raises:
        InvalidInputError: Git or a file system could not hold it.
    """
    return _check_ref(name, "tag")


def _check_ref(name: str, kind: str) -> str:
    components = name.split("/")
    fits = len(name) <= 200 and all(  # noqa: PLR2004 — the next line says the number to the user
        _REF_COMPONENT.fullmatch(component)
        and ".." not in component
        and not component.endswith((".", ".lock"))
        for component in components
    )
    if not fits or name == "HEAD":
        raise InvalidInputError(
            f"{name!r} is no name for a {kind}",
            hint="use at most 200 letters, digits, '.', '_', '-' and '+', with single '/' between; "
            "no part starts or ends with '.' or ends with '.lock'",
        )
    return name


def check_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return a commit's metadata as a dict if each value is one line under a plain key.

    Raises:
        InvalidInputError: A key has other characters, or a value more than one line.
    """
    for key, value in metadata.items():
        if not _METADATA_KEY.fullmatch(key):
            raise InvalidInputError(
                f"{key!r} is no key for a commit's metadata",
                hint="use letters, digits, '-', '.', '_' and '/'",
            )
        if not value.isprintable():
            raise InvalidInputError(
                f"metadata '{key}' is not one printable line: {value!r}",
                hint="keep longer things in a file of the dataset",
            )
    return dict(metadata)


def split_author(author: str) -> tuple[str, str]:
    """Return the name and the address of ``Name <address>``.

    Raises:
        InvalidInputError: It is not written so.
    """
    match = _AUTHOR.fullmatch(author.strip())
    if match is None:
        raise InvalidInputError(
            f"{author!r} is no author", hint="write it as 'Ada Lovelace <ada@example.org>'"
        )
    return match["name"].strip(), match["address"]


def default_author() -> str:
    """Return who works here: ``EOLAB_AUTHOR``, else Git's variables, else the system's user."""
    stated = os.environ.get("EOLAB_AUTHOR")
    if stated:
        name, address = split_author(stated)
        return f"{name} <{address}>"
    name = os.environ.get("GIT_AUTHOR_NAME") or os.environ.get("EOLAB_USER") or _system_user()
    address = os.environ.get("GIT_AUTHOR_EMAIL") or f"{name.replace(' ', '.')}@localhost"
    return f"{name} <{address}>"


def _system_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"
