"""``make demo``: the main job, from a source to a published version, headless."""

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.home import at_home

if TYPE_CHECKING:
    import dagster as dg

    from registry.catalog import Registry, Version

__all__ = ["main"]

_SIMULATED = {
    "demo-burn-scars": "burn-scars",
    "demo-land-use": "classification",
    "demo-ships": "detection",
}
_LABELLED = "demo-ships"
"""The dataset whose labels two people mend."""

_MEASURED = "demo-burn-scars"
"""The dataset whose features and biases Spark computes, and which a U-Net learns to map."""

_RELABELLED = "demo-land-use"
"""The dataset that is learnt from before and after two people mended its labels."""

_QUICK: dict[str, str] = {
    "architecture": "{factory: lab, args: {name: unet, width: 12, depth: 3}}",
    "data.batch_size": "8",
    "data.augment": "[flip, rotate90]",
    "epochs": "14",
    "optimiser.lr": "3e-3",
}
"""What makes the shipped recipe small enough to watch on two cores."""

_APART: dict[str, Any] = {
    "method": "blocked",
    "block_km": 30.0,
    "buffer_km": 2.0,
    "shares": "train=0.6,validate=0.15,test=0.25",
}
"""How it is divided: a chip is 1.9 km wide and a simulated scene 8 km, so no tested chip is beside
one that was learned from."""

_UNSTATED = "demo on a local folder: nobody stated a licence, so this version must not be shared"


def main() -> int:
    """Materialise the whole graph, say what it made and where to look.

    Returns:
        0 if every dataset became a version and one was measured, else the exit status of what
        stood in the way.
    """
    asked = _arguments()
    os.environ.update(at_home())
    _quiet()
    wanted = (
        {_dataset_name(asked.data): _own(asked)}
        if asked.data
        else {name: _simulated(task, asked.samples) for name, task in _SIMULATED.items()}
    )
    began = time.monotonic()
    made = {name: _to_a_version(name, config) for name, config in wanted.items()}
    measured = _dataset_name(asked.data) if asked.data else _MEASURED
    failed = made[measured] and not _measure(measured)
    if made.get(_MEASURED):
        failed = not _learn(_MEASURED) or failed
    print()
    ends = [
        _summary(name, made[name], config.get("report", {}).get("allow", {}))
        for name, config in wanted.items()
    ]
    print(f"{time.monotonic() - began:.0f} s in all, for {', '.join(wanted)}")
    return max(*ends, int(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--data", default="", help="a folder, archive or STAC file of your own")
    parser.add_argument("--licence", default="")
    parser.add_argument("--provider", default="")
    parser.add_argument("--samples", type=int, default=96, help="how many samples are simulated")
    return parser.parse_args()


def _quiet() -> None:
    import logging
    import warnings

    warnings.filterwarnings("ignore", module="dagster")
    logging.getLogger("dagster").setLevel(logging.ERROR)


def _dataset_name(data: str) -> str:
    stem = re.sub(r"[^a-z0-9]+", "-", Path(data.rstrip("/")).name.split(".")[0].lower())
    return (stem.strip("-") or "data")[:63].rjust(3, "x")


def _simulated(task: str, samples: int) -> dict[str, dict[str, Any]]:
    from registry.curate.ingest.simulator import TASKS

    return {
        "source": {"task": task, "samples": samples},
        "samples": {
            "task": TASKS[task].kind,
            "licence": "CC0-1.0",
            "provider": "EO Training Data Lab",
        },
        "version": {"message": "simulated scenes with known truth"},
    }


def _own(asked: argparse.Namespace) -> dict[str, dict[str, Any]]:
    allowed = {} if asked.licence else {"licence": _UNSTATED}
    return {
        "source": {"path": str(Path(asked.data).resolve())},
        "samples": {
            "licence": asked.licence,
            "provider": asked.provider,
            "skip_unreadable": True,
        },
        "report": {"allow": allowed},
        "version": {"message": f"from {Path(asked.data).name}", "allow": allowed},
    }


def _to_a_version(name: str, config: dict[str, dict[str, Any]]) -> bool:
    from assets.definitions import TO_A_VERSION

    print(f"{name}: source → samples → report → version → items, page", flush=True)
    return _materialise(name, TO_A_VERSION, config)


def _measure(name: str) -> bool:
    from assets.definitions import DERIVED

    print(f"{name}: version → features, bias_report, by Spark", flush=True)
    return _materialise(name, DERIVED, {"features": {"sets": ["bands", "context"]}})


def _learn(name: str) -> bool:
    from assets.definitions import MAPPED

    print(f"{name}: version → split → trained_model → evaluation, predictions", flush=True)
    config = {
        "split": _APART,
        "trained_model": {"recipe": "burn-scars-unet", "settings": _QUICK},
        "predictions": {
            "scenes": [str(_scene())],
            "options": ["--uncertainty", "--picture", str(_page_folder() / f"{name}-map.png")],
        },
    }
    return _materialise(name, MAPPED, config)


def _scene() -> Path:
    """Return a scene that no sample was cut from, much larger than a chip."""
    from assets.resources import LakeResource
    from registry.curate.ingest.simulator import write_folder

    folder = LakeResource().folder("simulated") / "scene"
    if not list(folder.rglob("*.tif")):
        write_folder("burn-scars", folder, samples=1, seed=77, size=640)
    return next(one for one in sorted(folder.rglob("*.tif")) if "mask" not in one.name)


def _page_folder() -> Path:
    from assets.resources import LakeResource

    return LakeResource().folder("pages")


def _materialise(
    name: str, selection: "dg.AssetSelection", config: dict[str, dict[str, Any]]
) -> bool:
    import dagster as dg

    from assets.definitions import everything
    from assets.partitions import datasets
    from assets.resources import LakeResource

    lake = LakeResource()
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(datasets.name or "", [name])
        with _noise_into(lake.folder("logs") / "demo.log"):
            result = dg.materialize(
                everything(),
                instance=instance,
                partition_key=name,
                selection=selection,
                resources={"lake": lake, "pipes": dg.PipesSubprocessClient()},
                run_config={
                    "ops": {asset: {"config": said} for asset, said in config.items()},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                raise_on_error=False,
            )
        for event in result.all_events:
            if event.is_step_failure:
                failure = event.step_failure_data.error
                print(f"  {event.step_key}: {_reason(failure)}", file=sys.stderr)
        return result.success


@contextmanager
def _noise_into(log: Path) -> Iterator[None]:
    """Keep what steps and the JVMs that they start say on standard error in a file."""
    sys.stderr.flush()
    kept = os.dup(2)
    with log.open("ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _reason(failure: object) -> str:
    cause = getattr(failure, "cause", None) or failure
    return str(getattr(cause, "message", cause)).strip().replace("\n", "\n  ")


def _summary(name: str, made: bool, allowed: Mapping[str, str]) -> int:  # noqa: FBT001 — what materialising came to
    from assets.resources import LakeResource
    from registry.errors import RejectedError

    lake = LakeResource()
    registry = lake.open()
    if name not in registry.names():
        print(f"{name}: nothing was made")
        return RejectedError.exit_status
    if made:
        version = registry.versions(name)[-1]
        page = lake.folder("pages") / f"{version.ref}.html"
    else:
        version = _unpublished(registry, name)
        page = lake.folder("pages") / f"{name}-draft.html"
        _explain(version, page, allowed)
    for check, reason in allowed.items():
        print(f"{name}: '{check}' was let pass: {reason}")
    _where_to_look(version, page)
    if made and name == _LABELLED:
        _two_people(registry, name, page.parent)
    if made and name == _RELABELLED:
        _relabelled(registry, name, page.parent)
    if made and name == _MEASURED:
        _models(registry, version, page.parent)
    return 0 if made else RejectedError.exit_status


def _two_people(registry: "Registry", name: str, pages: Path) -> None:
    from assets.two_people import mend_labels

    print(f"{name}: two people mend labels, a branch each", flush=True)
    outcome = mend_labels(registry, name, pages)
    for line in outcome.lines:
        print(f"  {line.replace(chr(10), chr(10) + '  ')}")
    conflict, changes = outcome.pages
    print(
        f"{outcome.version.ref}: the work of both\n"
        f"  conflict  {conflict.as_uri()}\n"
        f"  changes   {changes.as_uri()}\n"
    )


def _relabelled(registry: "Registry", name: str, pages: Path) -> None:
    from assets.relabelling import learn_from_both
    from assets.standing import page_of

    print(
        f"{name}: labels made in a hurry, mended by two people; learnt from before and after",
        flush=True,
    )
    learned = learn_from_both(registry, name)
    for line in (*learned.lines, *learned.said(registry)):
        print(f"  {line}")
    for model in learned.models:
        page = page_of(registry, learned.version, model, pages)
        print(f"  scores    {page.as_uri()}")
    print(f"  compare   {_eolab()} leaderboard {name}\n")


def _models(registry: "Registry", version: "Version", pages: Path) -> None:
    from assets.standing import standing
    from registry.learn.models import shelf

    for name in shelf.names(registry):
        if name.startswith("burn-scars"):
            model = shelf.resolve(registry, name)
            how_well = "".join(f"  {line}\n" for line in standing(registry, version, name))
            print(
                f"{model.ref}: learned from {version.ref}\n{how_well}"
                f"  scores    {(pages / f'{version.ref}-{model.ref}.html').as_uri()}\n"
                f"  map       {(pages / f'{version.dataset}-map.png').as_uri()}\n"
            )


def _unpublished(registry: "Registry", name: str) -> "Version":
    repository = registry.lake.repository(name)
    runs = {branch: repository.commit(at).at for branch, at in repository.branches("run/").items()}
    return registry.resolve(f"{name}@{max(runs, key=runs.__getitem__)}")


def _explain(version: "Version", page: Path, allowed: Mapping[str, str]) -> None:
    from registry.curate.quality import check
    from registry.web.page import render

    report = check(version, allow=allowed)
    print(f"{version.dataset}: no version was published\n{report.to_text()}")
    render(version, page, report=report)


def _where_to_look(version: "Version", page: Path) -> None:
    eolab = _eolab()
    name, query = version.dataset, f'select * from "{version.ref}".samples limit 5'  # noqa: S608 — to copy, not to run
    level = version.commit.metadata.get("level") or "not published"
    print(
        f"{version.ref}: {level}, {version.count('samples'):,} samples, "
        f"{version.count('annotations'):,} annotations, content id {version.content_id[:16]}…\n"
        f"  look      {page.as_uri()}\n{_passport(version, page)}"
        f"  history   {eolab} log {version.ref}\n"
        f"  ask       {eolab} sql '{query}'\n"
        f"  change    {eolab} branch {name} fixes && {eolab} edit {name}@fixes --help\n"
        f"  Dagster   make ui\n"
    )


def _eolab() -> Path:
    return Path(os.path.relpath(Path(sys.executable).parent / "eolab"))


def _passport(version: "Version", page: Path) -> str:
    passport = page.with_name(f"{version.ref}-bias.html")
    return f"  biases    {passport.as_uri()}\n" if passport.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
