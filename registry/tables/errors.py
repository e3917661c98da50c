"""What can be wrong with a table, beyond the registry's own error branches."""

from registry.errors import CorruptError, InvalidInputError, NotFoundError, RejectedError

__all__ = [
    "DuplicateKeyError",
    "SchemaMismatchError",
    "TableNotFoundError",
    "UnsafeArrayError",
    "UnsafeTableError",
]


class TableNotFoundError(NotFoundError):
    """A dataset has no table of this name."""

    code = "table-not-found"


class SchemaMismatchError(InvalidInputError):
    """Rows, columns or types do not fit a table's declared schema."""

    code = "schema-mismatch"


class DuplicateKeyError(RejectedError):
    """Two rows of one table have the same key, or a row has none."""

    code = "duplicate-key"


class UnsafeTableError(CorruptError):
    """A table's log names files that are not the table's own, or says what nobody should."""

    code = "unsafe-table"


class UnsafeArrayError(CorruptError):
    """An encoded array is not what its row says it is."""

    code = "unsafe-array"
