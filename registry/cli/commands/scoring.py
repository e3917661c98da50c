"""Scores: evaluation, comparisons, leaderboards, the floor of a dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from registry.cli.completion import complete_datasets, complete_refs
from registry.cli.on import Device, Gpus, Place, Print, Time, anywhere, elsewhere
from registry.cli.options import Json, RefArgument, connected
from registry.cli.output import emit
from registry.cli.scores import board_text, comparison_text, evaluation_text, replay_text
from registry.cli.watch import watching
from registry.errors import InvalidInputError, RejectedError

if TYPE_CHECKING:
    from registry.learn.scoring.evaluating import Evaluation
    from registry.learn.scoring.replaying import Replay

__all__ = ["ScoreDiffersError", "register"]

_ALL: Final = "all"


class ScoreDiffersError(RejectedError):
    """A score that was measured again is not what it was."""

    code = "score-differs"


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    for command in (evaluate, leaderboard, compare, replay):
        app.command(command.__name__)(command)
    app.command("floor")(anywhere(floor, shares=False, before=_floor_of))


ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model's version, such as burnscar-unet@v1; its name alone is the newest.",
        show_default=False,
    ),
]
ComparedArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A model's version, such as burnscar-unet@v1; its name alone is the newest of each "
        "of its seeds; or a floor, such as floor:majority.",
        show_default=False,
    ),
]
Split = Annotated[
    str,
    typer.Option(
        "--split", help="Which samples: test, validate, train, test:<name>, or all of them."
    ),
]
Splits = Annotated[
    str | None,
    typer.Option(
        "--splits", metavar="NAME",
        help="Which split of the version; by default 'default', else 'official'.",
        show_default=False,
    ),
]  # fmt: skip
Scored = Annotated[
    list[str],
    typer.Option(
        "--on", "--data",
        metavar="REF|PLACE",
        help="The version to score on, such as burnscars@v2; given twice, also where to run it: "
        "local, slurm, kubernetes, or a place of compute.yaml.",
        show_default=False,
        autocompletion=complete_refs,
    ),
]  # fmt: skip
Resamples = Annotated[
    int, typer.Option(min=20, help="Draws of the bootstrap that intervals come from.")
]
Seed = Annotated[int, typer.Option(min=0, help="Of those draws.")]
Crop = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="PIXELS",
        help="Cut samples to a square around their centre: another protocol.",
        show_default=False,
    ),
]
Keep = Annotated[bool, typer.Option(help="Keep the scores beside a published version.")]
Html = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write a page with pictures.", show_default=False),
]


def evaluate(
    model: ModelArgument,
    on: Scored,
    split: Split = "test",
    splits: Splits = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIMENSION",
            help="Also score each country, climate, season, group, value of a property, or quarter "
            "of a feature (set.column); may be repeated.",
            show_default=False,
        ),
    ] = None,
    crop: Crop = None,
    keep: Keep = True,
    device: Device = None,
    precision: Annotated[str, typer.Option(help="Of the network: 32, bf16 or 16.")] = "32",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples at once.")] = 32,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Of the network, on a processor.", show_default=False),
    ] = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    html: Html = None,
    gpus: Gpus = None,
    time: Time = None,
    print_only: Print = False,
    as_json: Json = False,
) -> None:
    """Score a model on a version: every figure with its interval, kept beside the version."""
    ref, place = _where(on, gpus=gpus, time=time, print_only=print_only)
    if not place.is_here:
        _foresee(place, model, on=ref, split=split, splits=splits, device=device)
        said = {
            "split": split, "splits": splits, "by": by, "crop": crop, "device": device,
            "precision": precision, "batch-size": batch_size, "threads": threads,
            "resamples": resamples, "seed": seed, "html": html,
        }  # fmt: skip
        words = ["evaluate", model, "--data", ref, "" if keep else "--no-keep", *_words(said)]
        elsewhere(place, [word for word in words if word])
        return
    place.check()
    from registry.learn.devices import chosen
    from registry.learn.scoring.evaluating import evaluate as score

    with watching() as progress:
        found = score(
            connected(), model, on=ref, split=_subset(split), splits=splits, by=by or (),
            crop=None if crop is None else (crop, crop), keep=keep, device=chosen(device),
            precision=precision, batch_size=batch_size, threads=threads, resamples=resamples,
            seed=seed, progress=progress,
        )  # fmt: skip
    _tell(found, model, html)


def _tell(found: "Evaluation", model: str, html: Path | None) -> None:
    if html is not None:
        from registry.web.scores import render_evaluation

        render_evaluation(found, html, pictures=_pictures(model))
    facts = {
        "run": found.run, "model": found.model, "ref": found.ref, "subset": found.subset,
        "samples": found.samples, "smoke": found.smoke, "kept": found.held, "said": found.said,
        "notes": found.notes, "html": html, "scores": found.rows,
    }  # fmt: skip
    emit(facts, lambda: evaluation_text(found) + (f"page: {html}\n" if html else ""))


def leaderboard(
    dataset: Annotated[
        str,
        typer.Argument(
            help="Name of the dataset, or one version of it, such as burnscars@v2.",
            show_default=False,
            autocompletion=complete_datasets,
        ),
    ],
    runs: Annotated[
        bool, typer.Option("--runs", help="Also name the evaluations, for eolab replay.")
    ] = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Rank models on a dataset, from kept scores alone and never across protocols."""
    from registry.learn.scoring.leading import leaderboard as boards_of

    boards = boards_of(connected(), dataset)
    if html is not None:
        from registry.web.scores import render_boards

        render_boards(dataset, boards, html)
    emit(
        {"dataset": dataset, "html": html, "boards": boards},
        lambda: (
            "\n".join(board_text(one, runs=runs) for one in boards)
            + (f"page: {html}\n" if html else "")
        ),
    )


def compare(
    a: ComparedArgument,
    b: ComparedArgument,
    on: Annotated[
        str,
        typer.Option(
            metavar="REF",
            help="The version to compare them on.",
            show_default=False,
            autocompletion=complete_refs,
        ),
    ],
    split: Split = "test",
    splits: Splits = None,
    crop: Crop = None,
    resamples: Resamples = 1000,
    seed: Seed = 0,
    keep: Keep = True,
    as_json: Json = False,
) -> None:
    """Say how much better one model is than another, by a paired bootstrap over groups.

    A name without a version stands for the newest version of each of its seeds, made as the newest
    of all was; which those are is said. What was evaluated before is not run again.
    """  # fmt: skip
    from registry.learn.scoring.comparing import compare as difference

    with watching() as progress:
        found = difference(
            connected(), a, b, on=on, split=_subset(split), splits=splits,
            crop=None if crop is None else (crop, crop), resamples=resamples, seed=seed, keep=keep,
            progress=progress,
        )  # fmt: skip
    emit(found, lambda: comparison_text(found))


def replay(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="An evaluation, or the id of one of its figures: eolab leaderboard NAME --runs.",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Evaluate again as a score was measured; exit with 5 if a figure differs in any bit."""
    from registry.learn.floor import replay as again

    with watching() as progress:
        found = again(connected(), run, progress=progress)
    emit({"same": found.same, **_facts(found)}, lambda: replay_text(found))
    if not found.same:
        raise ScoreDiffersError(
            f"{found.differing.num_rows} of {found.figures} figures of run {found.run} differ",
            hint="; ".join(found.said) or "see which: eolab replay --json",
        )


def floor(
    ref: RefArgument,
    splits: Splits = None,
    split: Split = "test",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="FLOOR",
            help="majority, probe, small or curve; may be repeated. All by default.",
            show_default=False,
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            help="Features that the linear probe learns from; by default spectral, else bands.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of the small network.")] = 3,
    epochs: Annotated[
        int, typer.Option(min=1, help="Passes of the small network over the training samples.")
    ] = 20,
    crop: Crop = None,
    keep: Keep = True,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Draw the learning curve.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a dataset takes no skill to score: majority, linear probe, small network, curve."""
    from registry.learn.floor import floor as floor_of

    with watching() as progress:
        found = floor_of(
            connected(), ref, split=_subset(split) or "test", splits=splits, only=only,
            features=features, seeds=seeds, epochs=epochs,
            crop=None if crop is None else (crop, crop), keep=keep, progress=progress,
        )  # fmt: skip
    if picture is not None:
        picture.write_bytes(found.picture())
    emit(
        {**found.facts(), "picture": picture},
        lambda: found.to_text() + (f"picture: {picture}\n" if picture else ""),
    )


def _foresee(
    place: Place,
    model: str | None,
    *,
    on: str,
    split: str,
    splits: str | None,
    device: str | None = None,
) -> None:
    """Refuse what a job would refuse at its beginning, before it is handed over."""
    from registry.learn.devices import named
    from registry.learn.scoring.foreseeing import foresee

    named(device or "cpu")
    if place.shows_lake:
        foresee(connected(), model, on=on, split=_subset(split), splits=splits)


def _floor_of(*, place: Place, ref: str, split: str, splits: str | None, **_: object) -> str:
    """Return what the job of a floor is called by, once it can be computed."""
    _foresee(place, None, on=ref, split=split, splits=splits)
    return ref


def _where(
    on: Sequence[str], *, gpus: int | None, time: str | None, print_only: bool
) -> tuple[str, Place]:
    """Return the version to score on, and the place to run at."""
    from registry.learn.compute.targets import targets
    from registry.learn.training.reading import close_to

    known = list(targets()) if len(on) > 1 else []
    places = [one for one in on if one in known]
    refs = [one for one in on if one not in known]
    neither = [one for one in refs if "@" not in one]
    if len(refs) > 1 and neither and not places:
        near = close_to(neither[-1], known)
        raise InvalidInputError(
            f"'{neither[-1]}' is neither a version with its '@' nor a place to run at",
            hint=f"did you mean {near}?" if near else f"places are {', '.join(known)}",
        )
    if len(refs) != 1 or len(places) > 1:
        raise InvalidInputError(
            f"--on names {len(refs)} versions and {len(places)} places to run at",
            hint="name one version, and one place if it shall run elsewhere: "
            "--on burnscars@v2 --on slurm",
        )
    place = places[0] if places else None
    return refs[0], Place({"on": place, "gpus": gpus, "time": time, "print_only": print_only})


def _words(said: Mapping[str, Any]) -> list[str]:
    """Return options as they are typed, those that were not given left out."""
    words: list[str] = []
    for name, value in said.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                words += [f"--{name}", str(one)]
    return words


_DRAWN: Final = {
    "predictions.png": "Answers beside the truth, on validation samples",
    "curves.png": "Loss and figures over the steps of the training run",
}


def _pictures(model: str) -> dict[str, bytes]:
    """Return the pictures that came with a model, by what they show."""
    from registry.learn.models import shelf

    found = shelf.resolve(connected(), model)
    return {
        said: found.path(name).read_bytes() for name, said in _DRAWN.items() if name in found.files
    }


def _subset(split: str) -> str | None:
    return None if split == _ALL else split


def _facts(found: "Replay") -> dict[str, object]:
    return {
        "run": found.run, "model": found.model, "ref": found.ref, "figures": found.figures,
        "said": found.said, "differing": found.differing,
    }  # fmt: skip
