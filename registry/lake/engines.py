"""A location in the words of each engine: delta-rs, DuckDB, pyarrow, Spark.

Folders need none of this; every function takes them all the same, so that code that reads a table
need not ask where it is. Keys stay in the location's storage options: nothing here writes them
anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from registry.errors import InvalidInputError
from registry.lake.records import Location

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

__all__ = [
    "COMMIT_RETRIES",
    "delta_options",
    "duckdb_secret",
    "is_remote",
    "pyarrow_filesystem",
    "spark_settings",
    "spark_uri",
]

COMMIT_RETRIES: Final = 100
"""What delta-rs is to be given as ``max_commit_retries``: eight writers lose none with it, and
some of theirs with its own 15."""

_REGION: Final = "us-east-1"
_KEY_VARIABLE: Final = "LAKECTL_CREDENTIALS_ACCESS_KEY_ID"
_SECRET_VARIABLE: Final = "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY"  # noqa: S105 — its name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """An S3 address as its options say it."""

    bucket: str
    host: str
    key: str
    secret: str = field(repr=False)
    region: str
    tls: bool


def is_remote(location: Location) -> bool:
    """Say whether a location is in an object store.

    Returns:
        False for a folder of this machine.
    """
    return "://" in location.uri


def delta_options(location: Location) -> dict[str, str]:
    """Return what delta-rs takes as ``storage_options``; nothing for a folder.

    Args:
        location: Of a table, or of a folder above some.

    Returns:
        A dictionary of the caller's own.

    Examples:
        >>> delta_options(Location(uri="/data/ships/samples"))
        {}
    """
    return dict(location.storage_options)


def duckdb_secret(
    location: Location, *, name: str = "eolab", from_environment: bool = False
) -> tuple[str, ...]:
    """Return the SQL by which DuckDB can open a location; it must have ``httpfs``.

    Args:
        location: Where a ``delta_scan`` or ``read_parquet`` is to read.
        name: What the secret is called; one of that name is replaced.
        from_environment: Write ``getenv('…')`` in the place of both keys, for people to read and
            keep. DuckDB's own shell has that function.

    Returns:
        Statements; none for a folder. The secret serves the location's repository alone.

    Raises:
        InvalidInputError: The location is neither a folder nor ``s3://…``, or lacks an option.

    Examples:
        >>> duckdb_secret(Location(uri="/data/ships/samples"))
        ()
    """
    if not is_remote(location):
        return ()
    store = _store(location)
    key, secret = _text(store.key), _text(store.secret)
    if from_environment:
        key, secret = (f"getenv({_text(named)})" for named in (_KEY_VARIABLE, _SECRET_VARIABLE))
    identifier = '"' + name.replace('"', '""') + '"'
    said = {
        "TYPE": "s3",
        "SCOPE": _text(f"s3://{store.bucket}/"),
        "KEY_ID": key,
        "SECRET": secret,
        "REGION": _text(store.region),
        "ENDPOINT": _text(store.host),
        "URL_STYLE": "'path'",
        "USE_SSL": str(store.tls).lower(),
    }
    options = ", ".join(f"{option} {value}" for option, value in said.items())
    return (f"CREATE OR REPLACE SECRET {identifier} ({options})",)


def pyarrow_filesystem(location: Location) -> tuple["FileSystem", str]:
    """Return a pyarrow filesystem, and where the location is in it.

    Args:
        location: A folder or ``s3://…``.

    Returns:
        The filesystem, and the path to give to ``pyarrow.parquet`` and ``pyarrow.dataset``.

    Raises:
        InvalidInputError: The location is neither a folder nor ``s3://…``, or lacks an option.
    """
    from pyarrow import fs

    if not is_remote(location):
        return fs.LocalFileSystem(), location.uri
    store = _store(location)
    opened = fs.S3FileSystem(
        access_key=store.key,
        secret_key=store.secret,
        region=store.region,
        endpoint_override=store.host,
        scheme="https" if store.tls else "http",
        # Nobody may make or drop a repository by writing a file.
        allow_bucket_creation=False,
        allow_bucket_deletion=False,
    )
    return opened, location.uri.removeprefix("s3://")


def spark_uri(location: Location) -> str:
    """Return a location as Spark names it: ``s3a://…``, or the folder as it is."""
    return f"s3a{location.uri[len('s3') :]}" if is_remote(location) else location.uri


def spark_settings(location: Location) -> dict[str, str]:
    """Return what a Spark session has to be started with to open a location.

    Args:
        location: A folder or ``s3://…``.

    Returns:
        Settings that concern the location's repository alone; none for a folder.

    Raises:
        InvalidInputError: The location is neither a folder nor ``s3://…``, or lacks an option.
    """
    if not is_remote(location):
        return {}
    store = _store(location)
    scheme = "https" if store.tls else "http"
    said = {
        "endpoint": f"{scheme}://{store.host}",
        "endpoint.region": store.region,
        "access.key": store.key,
        "secret.key": store.secret,
        "path.style.access": "true",
        "connection.ssl.enabled": str(store.tls).lower(),
    }
    prefix = f"spark.hadoop.fs.s3a.bucket.{store.bucket}"
    return {f"{prefix}.{name}": value for name, value in said.items()}


def _store(location: Location) -> _Store:
    parts = urlsplit(location.uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise InvalidInputError(
            f"{location.uri!r} is neither a folder nor an s3:// address",
            hint="take it from Repository.direct or Repository.locate",
        )
    options = location.storage_options
    endpoint = urlsplit(_option(options, "AWS_ENDPOINT_URL"))
    return _Store(
        bucket=parts.netloc,
        host=endpoint.netloc,
        key=_option(options, "AWS_ACCESS_KEY_ID"),
        secret=_option(options, "AWS_SECRET_ACCESS_KEY"),
        region=options.get("AWS_REGION", _REGION),
        tls=endpoint.scheme != "http",
    )


def _option(options: Mapping[str, str], name: str) -> str:
    if not options.get(name):
        raise InvalidInputError(
            f"a location in an object store has no {name}",
            hint="take it from Repository.direct, which knows the server and its keys",
        )
    return options[name]


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
