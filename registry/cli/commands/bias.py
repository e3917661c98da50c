"""Bias: whom a dataset speaks for, what a model could learn by mistake, where to collect next."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from registry.cli.options import EngineName, Json, RefArgument, connected
from registry.cli.output import emit
from registry.cli.watch import watching

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.curate.bias import BiasReport

__all__ = ["register"]

Against = Annotated[
    str,
    typer.Option(
        "--against",
        metavar="POPULATION",
        help="What to compare with: land (without Antarctica), land+antarctica, a dataset's "
        "version, or a .csv or .parquet file with weight beside strata, or beside lon and lat.",
    ),
]
Engine = Annotated[
    EngineName,
    typer.Option(
        help="Who counts; auto takes Spark where SPARK_MASTER is set or the version is large. "
        "The figures are the same."
    ),
]
Layers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer",
        metavar="NAME=REF[#PART]",
        help="A further stratum of place: biome=zones@v1#category is a column of a dataset's "
        "shapes, elevation=dem@v1#height a raster asset; may be repeated.",
        show_default=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--spark-setting",
        metavar="KEY=VALUE",
        help="A setting of Spark where it counts, such as spark.executor.memory=8g; may be "
        "repeated.",
        show_default=False,
    ),
]


class _ByRef(TyperGroup):
    """A group whose first word may be a ref: then its report is meant."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 — typer has no public name for it
        """Take a word that is no command for what is to be reported."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["report", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(
        cls=_ByRef, no_args_is_help=True, rich_markup_mode=None, help=bias.__doc__,
        callback=bias, subcommand_metavar="REF | COMMAND [ARGS]...",
    )  # fmt: skip
    group.command("report")(report)
    group.command("suggest")(suggest)
    app.add_typer(group, name="bias")


def bias() -> None:
    """Say whom a dataset speaks for, what a model could learn by mistake, where to collect next.

    ``eolab bias ships@v2`` is ``eolab bias report ships@v2``; for its options, such as --against
    and --html, see ``eolab bias report --help``.
    """


def report(
    ref: RefArgument,
    against: Against = "land",
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Also write a page with maps and plots.", show_default=False
        ),
    ] = None,
    engine: Engine = "auto",
    predictions: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|FILE",
            help="A model's predictions, scored in each stratum: annotations (the proposed ones), "
            "a table of the version, or a .csv or .parquet file with sample and prediction.",
            show_default=False,
        ),
    ] = None,
    layer: Layers = None,
    keep: Annotated[
        bool,
        typer.Option(help="Keep the figures and weights beside a published version."),
    ] = True,
    spark_setting: Settings = None,
    as_json: Json = False,
) -> None:
    """Report whom samples speak for, against a named population."""
    from registry.curate.jobs import settings_of
    from registry.curate.layers.asked import layer_words

    registry = connected()
    found = _audited(
        registry, ref, against, engine=engine, predictions=predictions,
        layers=layer_words(layer or ()), settings=settings_of(spark_setting or ()), keep=keep,
    )  # fmt: skip
    if html is not None:
        from registry.web.passport import render

        render(found, registry.resolve(ref), html)
    said = {**found.facts(), "html": html, "measures": found.measures}
    emit(said, lambda: found.to_text() + (f"\npage: {html}" if html else ""))


def suggest(
    ref: RefArgument,
    count: Annotated[int, typer.Option("--count", "-n", help="How many can be collected.")] = 200,
    against: Against = "land",
    seed: Annotated[int, typer.Option(help="Another one draws other points.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="GeoJSON file to write.", show_default=False
        ),
    ] = None,
    engine: Engine = "auto",
    layer: Layers = None,
    spark_setting: Settings = None,
    as_json: Json = False,
) -> None:
    """Say where, when and how many samples to collect next."""
    from registry.curate.bias.auditing import reference_population
    from registry.curate.bias.sampling import checked
    from registry.curate.bias.sampling import suggest as plan_of
    from registry.curate.jobs import settings_of
    from registry.curate.layers.asked import layer_words, layers_of

    checked(count)
    registry = connected()
    named = layer_words(layer or ())
    layers = layers_of(registry, named)
    population = reference_population(registry, against, layers=layers)
    found = _audited(
        registry, ref, against, engine=engine, predictions=None, layers=named,
        settings=settings_of(spark_setting or ()), keep=False,
    )  # fmt: skip
    plan = plan_of(found, population, count, seed=seed, layers=layers)
    if out is not None:
        out.write_text(plan.to_geojson(), "utf-8")
    emit(plan, lambda: plan.to_text() + (f"\nplan: {out}" if out else "\nplan: -o plan.geojson"))


def _audited(
    registry: "Registry",
    ref: str,
    against: str,
    *,
    engine: EngineName,
    predictions: str | None,
    layers: dict[str, str],
    settings: dict[str, str],
    keep: bool,
) -> "BiasReport":
    from registry.curate.bias.auditing import audit
    from registry.curate.bias.launching import audit_on_spark, engine_for

    with watching() as progress:
        if engine_for(registry.resolve(ref), engine) == "spark":
            return audit_on_spark(
                registry, ref, against=against, predictions=predictions, layers=layers, keep=keep,
                settings=settings, progress=progress,
            )  # fmt: skip
        return audit(
            registry, ref, against=against, predictions=predictions, layers=layers, keep=keep,
            progress=progress,
        )  # fmt: skip
