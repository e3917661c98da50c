"""Splits: who trains, who judges, and what leaks between them."""

from typing import Annotated, Literal

import typer

from registry.cli.options import Json, RefArgument, connected
from registry.cli.output import emit
from registry.cli.watch import watching
from registry.errors import RejectedError

__all__ = ["register"]

MethodName = Literal["random", "stratified", "group", "blocked", "temporal", "region"]
Splits = Annotated[str, typer.Option("--name", metavar="SPLIT", help="Name of the split.")]


class LeaksFoundError(RejectedError):
    """A split lets through what it must not, and ``--strict`` was asked for."""

    code = "leaks-found"


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(split)
    app.command()(leaks)


def split(
    ref: RefArgument,
    name: Splits = "default",
    method: Annotated[
        MethodName,
        typer.Option(
            help="random; stratified: every class its share; group: what belongs together stays "
            "together; blocked: blocks of ground, with a buffer; temporal: in the order of time; "
            "region: whole regions."
        ),
    ] = "random",
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="What is kept together or spread evenly: group, scene, label, a property, or "
            "country, continent, climate, season, year.",
            show_default=False,
        ),
    ] = None,
    shares: Annotated[
        str | None,
        typer.Option(
            metavar="SUBSET=SHARE,…",
            help="By default train=0.8,validate=0.1,test=0.1.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another one draws others.")] = 0,
    block_km: Annotated[float, typer.Option(help="Edge of a block in km.")] = 10.0,
    buffer_km: Annotated[
        float,
        typer.Option(
            help="Least distance between footprints of different subsets, hold-outs too, in km."
        ),
    ] = 0.0,
    gap_days: Annotated[
        float,
        typer.Option(
            help="Least time between samples of different subsets, hold-outs too, in days."
        ),
    ] = 0.0,
    folds: Annotated[
        int, typer.Option(help="Make this many folds in place of subsets; 0 for none.")
    ] = 0,
    hold_out: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SUBSET=COLUMN:VALUE|VALUE",
            help="Set samples apart first, such as test:bolivia=country:Bolivia; may be repeated.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Make a split of that name again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Divide samples into who trains, who validates and who tests; say what leaks."""
    from registry.curate.splits.plan import Plan, held_out
    from registry.curate.splits.shares import Shares
    from registry.curate.splits.splitting import split as divide

    plan = Plan(
        method=method, by=by, seed=seed, block_km=block_km, buffer_km=buffer_km,
        gap_days=gap_days, folds=folds, hold_out=held_out(hold_out or (), by),
        shares=Shares.of() if shares is None else Shares.parse(shares),
    )  # fmt: skip
    with watching() as progress:
        made = divide(connected(), ref, name=name, plan=plan, replace=replace, progress=progress)
    emit(made.facts(), made.to_text)


def leaks(
    ref: RefArgument,
    name: Splits = "default",
    pretrained: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REF",
            help="A version that a model has seen before; may be repeated.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option(help="Keep the findings beside a published version.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 5 if something leaks for certain.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which pixels, ground, scenes or groups are on two sides of a split."""
    from registry.curate.splits.leaking import leaks as look

    registry = connected()
    seen = [registry.resolve(one) for one in pretrained or ()]
    found = look(registry, registry.resolve(ref), name, pretrained=seen, keep=keep)
    emit({**found.facts(), "findings": found.findings}, found.to_text)
    if strict and not found.clean:
        raise LeaksFoundError(
            f"split '{name}' of {found.ref} leaks: {', '.join(found.counts)}",
            hint=f"make another: eolab split {found.ref} --method blocked --buffer-km 2 --name "
            "blocked; or by --method group",
        )
