"""Features: what is computed of samples, kept with its recipe."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from registry.cli.completion import complete_refs
from registry.cli.options import EngineName, Json, RefArgument, connected
from registry.cli.output import emit, json_wanted, listener, printable, table_text
from registry.cli.watch import watching
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.curate.features.definition import FeatureSet

__all__ = ["register"]

_FORMATS = {".parquet": "parquet", ".csv": "csv", ".arrow": "arrow", ".npz": "npz"}
_BAD_VALUE = "a parameter is written SET.NAME=VALUE, such as embeddings.size=64"

Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        "-s",
        metavar="SET",
        help="A set's name, all, a file of your own (mine.yaml), or the set of a table "
        "(ships@v1/mine). Repeatable.",
        show_default=False,
    ),
]
ThereSets = Annotated[
    list[str],
    typer.Option(
        "--set",
        "-s",
        metavar="SET",
        help="A set that was computed on the version, by its name or by what it was computed "
        "from (mine.yaml, ships@v1/mine); all means every one that is there. Repeatable.",
        show_default=False,
    ),
]
SetName = Annotated[
    str, typer.Option("--set", "-s", metavar="SET", help="The set's name.", show_default=False)
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write: .parquet, .csv, .arrow, or .npz for a matrix of numbers.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    group.callback()(features)
    group.command("list")(list_sets)
    group.command("show")(show)
    group.command("compute")(compute)
    group.command("get")(get)
    group.command("at")(at)
    group.command("lookup")(lookup)
    group.command("drift")(drift)
    app.add_typer(group, name="features")


def features() -> None:
    """Compute features of samples, get them as a matrix, compare them between versions."""


def list_sets(
    ref: Annotated[
        str | None,
        typer.Argument(
            help="Version: also say which sets it has and can have.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the feature sets."""
    from registry.curate.features.listing import listed

    rows = listed(connected() if ref else None, ref)
    headings = ["set", "version", "features", "needs", "what it is"]
    if ref is not None:
        headings.append(f"in {ref}")
    emit(
        [row.to_document() for row in rows],
        lambda: table_text(headings, [row.cells(with_state=ref is not None) for row in rows]),
    )


def show(
    name: Annotated[str, typer.Argument(metavar="SET", help="The set.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show the features of a set: formula, source, unit and what each needs."""
    from registry.curate.features.listing import described
    from registry.curate.features.naming import calls_of

    apart = "@" in name or "/" in name
    found = calls_of(connected(), [name])[0] if apart else calls_of(None, [name])[0]
    made = found.resolve()
    emit(described(made), lambda: _shown(made))


def _shown(made: "FeatureSet") -> str:
    rows = [
        (one.name, one.unit, " ".join(one.bands), one.formula, one.source) for one in made.features
    ]
    head = f"{made.name}, version {made.version}: {printable(made.title)}\nrecipe {made.recipe}\n\n"
    return head + table_text(["feature", "unit", "bands", "formula", "source"], rows)


def compute(
    ref: RefArgument,
    sets: Sets,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="Who computes: Spark, or threads of this process; auto takes Spark where "
            "SPARK_MASTER is set or the version is large."
        ),
    ] = "auto",
    on_error: Annotated[
        Literal["skip", "stop"],
        typer.Option(
            help="What a sample does on which a function fails: it is reported, or "
            "everything stops."
        ),
    ] = "skip",
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Compute what is there once more, and compare it to the last bit."
        ),
    ] = False,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            metavar="SET.NAME=VALUE",
            help="For a set that takes some. Repeatable.",
            show_default=False,
        ),
    ] = None,
    spark_settings: Annotated[
        list[str] | None,
        typer.Option(
            "--spark-setting",
            metavar="KEY=VALUE",
            help="A setting of Spark where it computes, such as spark.executor.memory=8g. "
            "Repeatable.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Compute feature sets on a published version; they are kept beside it."""
    from registry.curate.features.engines import compute_by
    from registry.curate.features.naming import calls_of
    from registry.curate.jobs import settings_of

    settings = settings_of(spark_settings or ())
    registry = connected()
    calls = calls_of(registry, sets, _parameters(parameters or ()))
    with watching() as progress:
        done = compute_by(
            engine, registry, ref, calls, on_error=on_error, again=again, settings=settings,
            progress=progress,
        )  # fmt: skip
    emit(done.to_document(), done.to_text)


def _parameters(said: Sequence[str]) -> dict[str, dict[str, Any]]:
    import json

    found: dict[str, dict[str, Any]] = {}
    for one in said:
        where, sign, text = one.partition("=")
        name, dot, key = where.partition(".")
        if not (sign and dot and name and key):
            raise InvalidInputError(f"--parameter {one!r} names no set", hint=_BAD_VALUE)
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        found.setdefault(name, {})[key] = value
    return found


def get(
    ref: RefArgument,
    sets: ThereSets,
    output: Output = None,
    cut: Annotated[
        str | None,
        typer.Option("--slice", help="Only the samples of this slice.", show_default=False),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="SET.FEATURE",
            help="Only this feature. Repeatable.",
            show_default=False,
        ),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="COLUMN",
            help="A column of samples that comes along, such as label or target. Repeatable.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Split whose subset comes along.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Get features joined by sample, for training."""
    from registry.curate.features.getting import features as joined
    from registry.curate.features.getting import sets_of
    from registry.query import find_slice

    registry = connected()
    version = registry.resolve(ref)
    if version.tombstone is not None:
        reason = printable(version.tombstone.reason)
        sys.stderr.write(f"note: {version.ref} was withdrawn: {reason}\n")
    names = sets_of(registry, version, sets)
    rows = joined(
        version,
        names,
        slice=find_slice(registry, cut) if cut else None,
        columns=columns,
        beside=beside or (),
        split=split,
    )
    _give(rows, names, output)


def _give(rows: "pa.Table", sets: Sequence[str], output: Path | None) -> None:
    from registry.query import write

    if output is None:
        with listener() as stdout:
            write(rows, "json" if json_wanted.get() else "table", stdout)
        return
    if output.suffix not in _FORMATS:
        raise InvalidInputError(
            f"'{output}' ends with {output.suffix or 'nothing'}",
            hint=f"name a file that ends with {', '.join(_FORMATS)}",
        )
    if output.suffix == ".npz":
        from registry.curate.features.matrix import write_npz

        write_npz(rows, sets, output)
    else:
        write(rows, _FORMATS[output.suffix], output)
    emit(
        {"output": output, "rows": rows.num_rows, "columns": rows.num_columns},
        f"{rows.num_rows:,} rows, {rows.num_columns:,} columns in {output}",
    )


def at(
    points: Annotated[
        Path,
        typer.Option(help="CSV, Parquet or GeoJSON with lon, lat and perhaps time and id."),
    ],
    sets: Sets,
    times: Annotated[
        list[str] | None,
        typer.Option(
            "--times",
            metavar="TIME",
            help="Of points that say none, such as 2023-06-01. Repeatable.",
            show_default=False,
        ),
    ] = None,
    ref: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="REF",
            help="Look up what was computed on those samples of this version that were there then.",
            show_default=False,
            autocompletion=complete_refs,
        ),
    ] = None,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Get features at points and times; what came later is never looked at."""
    from registry.curate.features.points import features_at
    from registry.curate.features.reading_points import read_points

    version = connected().resolve(ref) if ref is not None else None
    rows = features_at(read_points(points, times or ()), sets, version=version)
    _give(rows, sets, output)


def lookup(
    ref: RefArgument,
    sample: Annotated[str, typer.Argument(help="The sample's id.", show_default=False)],
    name: SetName,
    as_json: Json = False,
) -> None:
    """Look up the features of one sample."""
    from registry.curate.features.lookup import lookup as opened

    found = opened(connected().resolve(ref), name).get(sample)
    emit(found, lambda: table_text(["feature", "value"], list(found.items())))


def drift(
    before: RefArgument,
    after: Annotated[str, typer.Argument(help="The version to look at.", show_default=False)],
    name: SetName,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Say how far a set's features moved from one version to another."""
    from registry.curate.features.drift import drift as moved

    registry = connected()
    rows = moved(registry.resolve(before), registry.resolve(after), name)
    if output is not None:
        _give(rows, (), output)
        return
    emit(rows, lambda: _moved_text(rows.to_pylist()))


def _moved_text(rows: Sequence[dict[str, Any]]) -> str:
    columns = ["feature", "flag", "psi", "ks", "wasserstein", "shift", "js", "missing_after"]
    cells = [
        [f"{row[key]:.3f}" if isinstance(row[key], float) else row[key] for key in columns]
        for row in rows
    ]
    return table_text(columns, cells)
