"""A dataset's tables: declared schemas, keys, files on disk, row-level diff and merge.

Names are loaded when they are first used, as reading a log or decoding a chip needs few of them
and some bring slow libraries along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.tables.chips import Chip, ChipIndex, load, read_chip, read_chips
    from registry.tables.pixels import EncodedArray, decode, encode, encode_jpeg, pixel_digest
    from registry.tables.schemas import (
        ANNOTATIONS,
        ASSETS,
        FINDINGS,
        PIXELS,
        SAMPLES,
        SPLITS,
        TableSchema,
        features_schema,
        reports_schema,
        samples_schema,
        splits_schema,
    )
    from registry.tables.store import (
        append,
        checkpoint,
        count,
        create,
        exists,
        files,
        names,
        overwrite,
        read,
        scan,
        schema_of,
    )

__all__ = [
    "ANNOTATIONS",
    "ASSETS",
    "FINDINGS",
    "PIXELS",
    "SAMPLES",
    "SPLITS",
    "Chip",
    "ChipIndex",
    "EncodedArray",
    "TableSchema",
    "append",
    "checkpoint",
    "count",
    "create",
    "decode",
    "encode",
    "encode_jpeg",
    "exists",
    "features_schema",
    "files",
    "load",
    "names",
    "overwrite",
    "pixel_digest",
    "read",
    "read_chip",
    "read_chips",
    "reports_schema",
    "samples_schema",
    "scan",
    "schema_of",
    "splits_schema",
]

_HOMES = {
    "ANNOTATIONS": "schemas",
    "ASSETS": "schemas",
    "Chip": "chips",
    "ChipIndex": "chips",
    "EncodedArray": "pixels",
    "FINDINGS": "schemas",
    "PIXELS": "schemas",
    "SAMPLES": "schemas",
    "SPLITS": "schemas",
    "TableSchema": "schemas",
    "append": "store",
    "checkpoint": "store",
    "count": "store",
    "create": "store",
    "decode": "pixels",
    "encode": "pixels",
    "encode_jpeg": "pixels",
    "exists": "store",
    "features_schema": "schemas",
    "files": "store",
    "load": "chips",
    "names": "store",
    "overwrite": "store",
    "pixel_digest": "pixels",
    "read": "store",
    "read_chip": "chips",
    "read_chips": "chips",
    "reports_schema": "schemas",
    "samples_schema": "schemas",
    "scan": "store",
    "schema_of": "store",
    "splits_schema": "schemas",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 — any value, checked by its kind
    if name not in _HOMES:
        raise AttributeError(f"module 'registry.tables' has no attribute {name!r}")
    return getattr(import_module(f"registry.tables.{_HOMES[name]}"), name)
