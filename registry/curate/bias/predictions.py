"""Where a model's predictions come from: annotations, a table of the version, or a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["ANNOTATIONS", "written"]

ANNOTATIONS: Final = "annotations"
"""Names the proposed annotations of the version itself."""

_COLUMNS: Final = ("sample", "prediction")
_HINT: Final = "give columns sample and prediction, one row a sample"
_MOST_BYTES: Final = 4 << 30


def written(version: "Version", named: str, folder: Path) -> Path:
    """Write predictions as one Parquet file of ``sample`` and ``prediction``.

    Args:
        version: Whose samples they are of.
        named: ``annotations`` takes, for each sample, the class of its surest proposed annotation;
            else a table of the version, or a CSV or Parquet file.
        folder: Gets the file.

    Returns:
        The file.

    Raises:
        InvalidInputError: Columns are missing, or a sample comes twice.
        NotFoundError: There is no such table or file.
    """
    rows = _proposed(version) if named == ANNOTATIONS else _checked(_read(version, named), named)
    path = folder / "predictions.parquet"
    pq.write_table(rows, path)
    return path


def _proposed(version: "Version") -> pa.Table:
    rows = version.table(ANNOTATIONS, columns=["sample", "category", "score", "status", "id"])
    rows = rows.filter(pc.equal(rows["status"], "proposed"))
    rows = rows.filter(pc.is_valid(rows["category"]))
    rows = rows.set_column(2, "score", pc.fill_null(rows["score"], 0.0))
    ordered = rows.sort_by([("sample", "ascending"), ("score", "descending"), ("id", "ascending")])
    first = ordered.group_by("sample", use_threads=False).aggregate([("category", "first")])
    return first.rename_columns(["sample", "prediction"])


def _read(version: "Version", named: str) -> pa.Table:
    import pyarrow.csv

    path = Path(named)
    if not named.lower().endswith((".csv", ".parquet")):
        return version.table(named)
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", hint="name a .csv or .parquet file")
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidInputError(f"{path} is larger than 4 GiB", hint="keep the two columns alone")
    # As text, so that an id of digits keeps its leading zeros.
    as_text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(_COLUMNS, pa.string()))
    try:
        return (
            pq.read_table(path, columns=[n for n in pq.read_schema(path).names if n in _COLUMNS])
            if named.lower().endswith(".parquet")
            else pyarrow.csv.read_csv(path, convert_options=as_text)
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read: {str(error)[:200]}", hint=_HINT) from error


def _checked(rows: pa.Table, named: str) -> pa.Table:
    for name in _COLUMNS:
        if rows.column_names.count(name) != 1:
            raise InvalidInputError(f"{named} has no column '{name}'", hint=_HINT)
    try:
        kept = pa.table({name: rows[name].cast(pa.string()) for name in _COLUMNS})
    except pa.ArrowException as error:
        raise InvalidInputError(
            f"predictions of {named} are {rows['prediction'].type}, not classes", hint=_HINT
        ) from error
    kept = kept.filter(pc.and_(pc.is_valid(kept["sample"]), pc.is_valid(kept["prediction"])))
    if pc.count_distinct(kept["sample"]).as_py() != kept.num_rows:
        raise InvalidInputError(f"{named} predicts a sample twice", hint=_HINT)
    return kept
