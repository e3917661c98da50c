"""A DuckDB of one's own, in memory; locked where a user's words run in it."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import UnavailableError
from registry.tables.errors import UnsafeTableError

if TYPE_CHECKING:
    import duckdb

__all__ = ["connection"]

_MEMORY = "512MB"


@contextmanager
def connection(*, locked: bool = True) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open a private DuckDB that sees only what is registered with it.

    Args:
        locked: Refuse files, network and settings.

    Yields:
        The connection; closed afterwards.

    Raises:
        UnavailableError: The memory or the disk does not suffice.
        UnsafeTableError: What was registered cannot be read.
    """
    import duckdb

    # What does not fit goes to a folder of its own, not beside the user's files.
    spill = str(Path(tempfile.gettempdir()) / f"eolab-spill-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    settings: dict[str, str | bool | int | float | list[str]] = {"memory_limit": _MEMORY}
    if not locked:
        settings |= {"temp_directory": spill}
    else:  # DuckDB spills nothing where files are forbidden
        settings |= {
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "allow_community_extensions": False,
        }
    opened = duckdb.connect(":memory:", config=settings)
    try:
        opened.execute("set timezone = 'UTC'")  # a date means the same on every machine
        if locked:
            opened.execute("set lock_configuration = true")
        yield opened
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise UnavailableError(
            f"rows cannot be compared: {str(error).splitlines()[0]}",
            hint=f"free some space below {tempfile.gettempdir()}, then run it again",
        ) from error
    except duckdb.Error as error:
        raise UnsafeTableError(
            f"a data file of a table cannot be read: {str(error).splitlines()[0]}",
            hint="eolab fsck finds out more",
        ) from error
    finally:
        opened.close()
        shutil.rmtree(spill, ignore_errors=True)
