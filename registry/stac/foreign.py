"""Other people's stac-geoparquet as rows of the declared schema."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from registry.errors import InvalidInputError, NotFoundError
from registry.stac.rows import Refuse, Rows

__all__ = ["is_parquet", "parquet_batches"]

_ROWS = 2048


def is_parquet(path: Path) -> bool:
    """Return whether a path names a stac-geoparquet file."""
    return path.suffix.lower() in {".parquet", ".geoparquet"}


def parquet_batches(path: Path, *, refuse: Refuse) -> Iterator[pa.RecordBatch]:
    """Yield the items of a stac-geoparquet file as batches of the declared schema.

    Args:
        path: The file.
        refuse: Told of each item that cannot be a row.

    Raises:
        NotFoundError: There is no such file.
        InvalidInputError: It is not stac-geoparquet.
    """
    import stac_geoparquet.arrow as stac_arrow

    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", hint="check the path")
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS):
                rows = Rows(refuse)
                for item in stac_arrow.stac_table_to_items(pa.Table.from_batches([batch])):
                    number += 1
                    rows.add(item, f"{path.name}:{number}")
                yield rows.flush()
    except pa.ArrowInvalid as error:
        raise InvalidInputError(
            f"{path.name} is not stac-geoparquet: {error}", hint="write it again"
        ) from error
