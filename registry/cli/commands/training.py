"""Training: recipes, runs, pretraining."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from registry.cli.on import Place, anywhere
from registry.cli.options import Json, connected
from registry.cli.output import emit, table_text
from registry.cli.watch import watching
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.learn.models.shelf import Model
    from registry.learn.training.recipe import Recipe

__all__ = ["register", "seeds_of", "settings_of"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(
        invoke_without_command=True, help="List the recipes that ship, or show one."
    )
    group.callback()(recipes)
    group.command("show")(show)
    app.add_typer(group, name="recipes")
    app.command("train")(anywhere(train, before=_makes))
    app.command("pretrain")(anywhere(pretrain, before=_makes_unlabelled))


def _complete_recipes(incomplete: str) -> list[str]:
    from registry.learn.training.recipe import shipped

    return [name for name in shipped() if name.startswith(incomplete)]


RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A recipe that ships, see eolab recipes, or a YAML file.",
        show_default=False,
        autocompletion=_complete_recipes,
    ),
]
DataRef = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="REF",
        help="The version to learn from, such as ships@v2, in place of the recipe's; for "
        "pretraining repeatable.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="What chance starts from; the recipe's by default.",
                 show_default=False),
]  # fmt: skip
Seeds = Annotated[
    str | None,
    typer.Option(
        metavar="0-4", help="Several runs, one a seed: 0-4, or 1,5,9.", show_default=False
    ),
]
Smoke = Annotated[
    bool,
    typer.Option("--smoke", help="Run it on simulated samples, to see that it runs; no score."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value of the recipe, by its path: data.batch_size=8. Repeatable.",
        show_default=False,
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--name",
        metavar="MODEL",
        help="The model's name; by default the recipe's, with -smoke after it in a smoke run.",
        show_default=False,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume/--fresh", help="Go on from the checkpoint of a run that ended early, or anew."
    ),
]


def recipes(context: typer.Context, as_json: Json = False) -> None:
    """List the recipes that ship: what they learn, what it costs, what they should reach."""
    if context.invoked_subcommand is not None:
        return
    from registry.learn.training.recipe import named, shipped

    found = [named(name) for name in shipped()]
    rows = [
        {
            "name": one.name, "task": one.task, "title": one.title, "cost": one.cost,
            "score": one.score, "baseline": one.baseline, "paper": one.paper,
            "command": one.command,
        }
        for one in found
    ]  # fmt: skip
    emit(
        rows,
        lambda: table_text(
            ["recipe", "task", "cost", "score to reach", "baseline"],
            [[one.name, one.task, one.cost, _score(one), one.baseline] for one in found],
        ),
    )


def _score(recipe: "Recipe") -> str | None:
    said = recipe.score
    return None if said is None else f"{said.metric} ≥ {said.value:g} ({said.subset})"


def show(name: RecipeName, as_json: Json = False) -> None:
    """Show a recipe with every default written out."""
    from registry.learn.training.recipe import head_of_file, named, shipped_path

    recipe = named(name)
    path = shipped_path(name) or Path(name)
    head = "".join(f"# {line}".rstrip() + "\n" for line in head_of_file(path).splitlines())
    emit(recipe.to_document(), lambda: head + recipe.to_yaml())


def train(
    recipe: RecipeName,
    data: DataRef = None,
    seed: Seed = None,
    seeds: Seeds = None,
    smoke: Smoke = False,
    changes: Set = None,
    name: ModelName = None,
    resume: Resume = True,
    as_json: Json = False,
) -> None:
    """Train a recipe, and keep what comes of it as a model's next version.

    Progress is drawn, or told in a line an epoch where there is no terminal; a run that ended early
    goes on from its last checkpoint when the same command is given again. Several processes share
    the work with --processes or --gpus.
    """
    made = _asked(recipe, data, seed, seeds, smoke=smoke, changes=changes, name=name)
    _run(made, seed=seed, seeds=seeds, smoke=smoke, name=name, resume=resume)


def pretrain(
    recipe: RecipeName,
    data: DataRef = None,
    seed: Seed = None,
    seeds: Seeds = None,
    smoke: Smoke = False,
    changes: Set = None,
    name: ModelName = None,
    resume: Resume = True,
    as_json: Json = False,
) -> None:
    """Learn from unlabelled versions what other recipes begin with.

    The model that comes of it is named in another recipe's init.model:
    eolab train burn-scars-unet --set init.model=mae-hls@v1
    """
    made = _unlabelled(recipe, data, seed, seeds, smoke=smoke, changes=changes, name=name)
    _run(made, seed=seed, seeds=seeds, smoke=smoke, name=name, resume=resume)


def _asked(
    recipe: str,
    data: Sequence[str] | None,
    seed: int | None,
    seeds: str | None,
    *,
    smoke: bool,
    changes: Sequence[str] | None,
    name: str | None,
    **_: object,
) -> "Recipe":
    """Return the recipe that is meant, once all that the words alone tell is in order.

    Raises:
        InvalidInputError: A value, a name or seeds are not possible.
        NotFoundError: There is no such recipe.
    """
    from registry.learn.training.foreseeing import called
    from registry.learn.training.recipe import named

    made = named(recipe, settings_of(changes, data))
    called(made, name=name, smoke=smoke)
    if seed is not None and seeds is not None:
        raise InvalidInputError("both --seed and --seeds were given", hint="give one of them")
    if seeds is not None:
        seeds_of(seeds)
    return made


def _unlabelled(*args: Any, **kwargs: Any) -> "Recipe":  # noqa: ANN401 — those of _asked
    made = _asked(*args, **kwargs)
    if not made.pretrains:
        raise InvalidInputError(
            f"recipe '{made.name}' learns from labels", hint=f"train it: eolab train {made.name}"
        )
    return made


def _makes(*, place: Place, name: str | None, smoke: bool, **said: Any) -> str:  # noqa: ANN401 — those of _asked
    """Return the name of what training makes, once nothing would end it at its beginning."""
    return _foreseen(_asked(name=name, smoke=smoke, **said), place, name=name, smoke=smoke)


def _makes_unlabelled(*, place: Place, name: str | None, smoke: bool, **said: Any) -> str:  # noqa: ANN401 — as above
    """Return the name of what pretraining makes, likewise."""
    return _foreseen(_unlabelled(name=name, smoke=smoke, **said), place, name=name, smoke=smoke)


def _foreseen(made: "Recipe", place: Place, *, name: str | None, smoke: bool) -> str:
    from registry.learn.training.foreseeing import foresee

    if place.shows_lake and not smoke:
        seen = made if place.shows_files else made.replaced({"init.weights": None})
        foresee(connected(), seen)
    return name or made.name


def _run(
    recipe: "Recipe",
    *,
    seed: int | None,
    seeds: str | None,
    smoke: bool,
    name: str | None,
    resume: bool,
) -> None:
    from registry.learn.training import train as run

    chosen = seeds_of(seeds) if seeds is not None else (seed,) if seed is not None else recipe.seeds
    registry = connected()
    with _telling(), watching() as progress:
        models = [
            run(registry, recipe, seed=one, smoke=smoke, resume=resume, name=name,
                progress=progress)
            for one in chosen
        ]  # fmt: skip
    kept = [model for model in models if model is not None]
    if kept:  # of several processes one writes, and one speaks
        emit([_facts(model) for model in kept], lambda: _told(kept, pretrained=recipe.pretrains))


@contextmanager
def _telling() -> Iterator[None]:
    """Say on stderr that a run goes on; and where no bar is drawn, what each epoch came to."""
    log = logging.getLogger("eolab.training")
    says = logging.StreamHandler(sys.stderr)
    log.addHandler(says)
    log.setLevel(logging.INFO if sys.stderr.isatty() else logging.DEBUG)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(says)
        log.setLevel(logging.NOTSET)
        log.propagate = True


def _facts(model: "Model") -> dict[str, Any]:
    card = model.card
    return {
        "model": model.ref, "seed": card.seed, "smoke": card.smoke, "metrics": card.metrics,
        "lineage": card.lineage,
    }  # fmt: skip


def _told(models: Sequence["Model"], *, pretrained: bool) -> str:
    lines = []
    for model in models:
        card = model.card
        learnt = "" if card.lineage is None else f" from {card.lineage.dataset}"
        figures = ", ".join(
            f"{name} {value:.4g}" for name, value in card.metrics.items() if "/" not in name
        )
        said = "smoke: it ran, and says nothing of quality" if card.smoke else figures
        lines.append(f"{model.ref}, seed {card.seed}{learnt}\n  {said}\n")
    if not models[-1].card.smoke:
        lines.append(_next(models[-1], pretrained=pretrained))
    return "".join(lines)


def _next(model: "Model", *, pretrained: bool) -> str:
    """Return what to do with a model, as a line."""
    if pretrained:
        return f"begin another recipe with it: eolab train RECIPE --set init.model={model.ref}\n"
    lineage = model.card.lineage
    if lineage is None:
        return ""
    learnt, _, _ = lineage.dataset.partition(",")
    usual = lineage.split in {None, "default", "official"}
    splits = "" if usual else f" --splits {lineage.split}"
    return f"score it: eolab evaluate {model.ref} --on {learnt} --split test{splits}\n"


def seeds_of(said: str) -> tuple[int, ...]:
    """Return seeds as people write them.

    Args:
        said: Such as ``0-4`` or ``1,5,9``.

    Raises:
        InvalidInputError: It is neither.

    Examples:
        >>> seeds_of("0-2,7")
        (0, 1, 2, 7)
    """
    found: list[int] = []
    try:
        for part in said.split(","):
            first, dash, last = part.partition("-")
            found += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError as error:
        raise InvalidInputError(
            f"--seeds {said!r} names no seeds", hint="write 0-4, or 1,5,9"
        ) from error
    if not found or len(set(found)) != len(found):
        raise InvalidInputError(f"--seeds {said!r} names none, or one twice", hint="write 0-4")
    return tuple(found)


def settings_of(changes: Sequence[str] | None, data: Sequence[str] | None) -> dict[str, Any]:
    """Return values of a recipe by path, as ``--set`` and ``--data`` give them.

    Args:
        changes: Such as ``data.batch_size=8``; values are read as YAML.
        data: Refs of versions.

    Raises:
        InvalidInputError: One has no value, or is no YAML.

    Examples:
        >>> settings_of(["optimiser.lr=0.01", "stop.patience=null"], ["ships@v2"])
        {'optimiser.lr': 0.01, 'stop.patience': None, 'data.ref': 'ships@v2'}
    """
    import yaml

    found: dict[str, Any] = {}
    for change in changes or ():
        path, sign, value = change.partition("=")
        if not (sign and path.strip()):
            raise InvalidInputError(
                f"--set {change!r} sets nothing", hint="write --set data.batch_size=8"
            )
        try:
            found[path.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InvalidInputError(
                f"the value of --set {change!r} is no YAML", hint="quote it"
            ) from error
    if data:
        found["data.ref"] = data[0] if len(data) == 1 else list(data)
    return found
