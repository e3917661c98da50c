"""What a table's log may say: every action is checked before anything follows it."""

import re
from collections.abc import Mapping
from typing import Any

from registry.tables.errors import UnsafeTableError
from registry.tables.types import arrow_schema

__all__ = ["LOG", "checked", "mapping", "unsafe"]

LOG = "_delta_log"
"""Folder of a table that holds its log."""

_SEGMENT = re.compile(r"(?!\.)[A-Za-z0-9_=.+-]{1,255}")
_ACTIONS = frozenset({"add", "remove", "metaData", "protocol", "commitInfo", "txn"})
_READER_FEATURES: frozenset[str] = frozenset()


def checked(action: Any) -> tuple[str, Any]:  # noqa: ANN401 — any value, checked by its kind
    """Return an action's kind and body.

    Args:
        action: One line of a log, one row of a checkpoint.

    Raises:
        UnsafeTableError: It names a file that is no plain path inside its table, or says something
            that the lab does not know.
    """  # noqa: DOC501 — a function makes the error
    if not isinstance(action, dict) or len(action) != 1:
        raise unsafe("a log entry is not one action a line")
    ((kind, body),) = action.items()
    if kind not in _ACTIONS or not isinstance(body, dict):
        raise unsafe(f"a log holds an action {kind!r:.60} that the lab does not know")
    if kind in {"add", "remove"}:
        _check_path(body.get("path"))
        for feature in ("deletionVector", "partitionValues"):
            if body.get(feature):
                raise unsafe(f"a table has a {feature}, which the lab does not read")
    elif kind == "protocol":
        _check_protocol(body)
    elif kind == "metaData":
        _check_metadata(body)
    return kind, body


def _check_path(path: Any) -> None:  # noqa: ANN401 — any value, checked by its kind
    parts = path.split("/") if isinstance(path, str) else [""]
    plain = all(_SEGMENT.fullmatch(part) and ".." not in part for part in parts)
    if not plain or parts[0] == LOG:
        raise unsafe(f"a log names {path!r:.120}, which is no plain path inside its table")


def _check_protocol(body: Mapping[str, Any]) -> None:
    reader = body.get("minReaderVersion")
    features, writing = body.get("readerFeatures") or [], body.get("writerFeatures") or []
    lists = isinstance(features, list) and isinstance(writing, list)
    known = lists and all(isinstance(f, str) and f in _READER_FEATURES for f in features)
    if type(reader) is not int or reader not in {1, 3} or not known:
        raise unsafe(f"a table needs reader version {reader!r:.20} with {features!r:.200}")


def _check_metadata(body: Mapping[str, Any]) -> None:
    if not isinstance(body.get("schemaString"), str) or body.get("partitionColumns"):
        raise unsafe("a table is partitioned or states no schema")
    stated = mapping(body.get("format") or {"provider": "parquet"})
    if stated.get("provider") != "parquet":
        raise unsafe(f"a table's files are {stated.get('provider')!r:.40}, not Parquet")
    configuration = mapping(body.get("configuration"))
    if not all(isinstance(value, str) for value in configuration.values()):
        raise unsafe("a table's configuration is not text")
    if configuration.get("delta.columnMapping.mode", "none") != "none":
        raise unsafe("a table maps its columns to other names")
    arrow_schema(body["schemaString"])


def mapping(stated: Any) -> Mapping[str, Any]:  # noqa: ANN401 — any value, checked by its kind
    """Return names and values that a log states; none where it states nothing.

    Raises:
        UnsafeTableError: It states something else.
    """  # noqa: DOC501 — a function makes the error
    if stated is not None and not isinstance(stated, dict):
        raise unsafe(f"a log says {stated!r:.60} where names and values belong")
    return stated or {}


def unsafe(problem: str) -> UnsafeTableError:
    """Return the error of a log that must not be followed."""
    return UnsafeTableError(
        problem,
        hint="do not open this table; restore it from another lake, or from an older version",
    )
