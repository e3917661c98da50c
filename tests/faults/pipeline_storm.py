"""A lake whose makers of datasets are killed: ingest, edit, publish, withdraw, create, collect.

The process that forks never uses Delta's runtime itself, which does not live through a fork: the
set-up and every check run in children of their own.
"""

import os
import random
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import rasterio
from rasterio.transform import from_origin

import registry.stac  # noqa: F401 — loaded once here, not in every child that publishes
from registry import lake
from registry.catalog import Registry, Spec, edit_rows
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.publishing import NothingToPublishError, publish
from registry.tables.references import check_pointers
from tests.faults.killing import Death, in_a_child, run_and_kill
from tests.faults.lake_storm import git_fsck

DATASET, USER = "fields", "anna"
DRAFT, SOURCE = f"draft/{USER}", "source/chips"
STATES = 5
"""How many states the source has; each differs in one file's pixels and one file's name."""

SAID = {"time": "2020", "licence": "MIT", "provider": "ESA", "task": "classification"}
MOVES = {
    "bring": {DRAFT, SOURCE},
    "relabel": {DRAFT},
    "release": {DRAFT, "main"},
    "retract": {"tombstones"},
    "found": set(),
    "settle": set(),
    "sweep": set(),
}
"""The branches that an operation may move, besides its own below ``staging/``."""

FRESH_AFTER = 40
"""Kills after which the storm goes on with a new copy of the lake that was prepared."""


# ------------------------------------------------------------------- what is made of what
def write_sources(folder):
    """Write the states of a tiny source, each into a folder of the same name."""
    for state in range(STATES):
        home = folder / str(state) / "chips"
        for name, number in (("c0", state), ("c1", 11), ("c2", 12), (f"x{state}", 20 + state)):
            path = home / "ab"[number % 2] / f"{name}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            place = from_origin(5e5 + number * 5_000, 5e6, 10, 10)
            profile = {"driver": "GTiff", "count": 2, "height": 4, "width": 8, "dtype": "uint16"}
            with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=place) as raster:
                raster.write(np.full((2, 4, 8), number, "uint16") + np.arange(8, dtype="uint16"))


def take_in(registry, sources, state, into=DATASET):
    source = sources / str(state) / "chips"
    return ingest(registry, source, into=into, options=SourceOptions.of(**SAID), workers=1)


# ------------------------------------------------------------------- what a maker does
def bring(registry, sources, chance):
    take_in(registry, sources, chance.randrange(STATES))


def relabel(registry, sources, chance):
    edit_rows(
        registry, f"{DATASET}@draft", assignments=[f"target={chance.random()}"],
        where=f"id = 'c{chance.randrange(1, 3)}'",
    )  # fmt: skip


def release(registry, sources, chance):
    with suppress(NothingToPublishError):
        publish(registry, DATASET, message="release")


def retract(registry, sources, chance):
    registry.withdraw(chance.choice(registry.versions(DATASET)).ref, "wrong")


def found(registry, sources, chance):
    registry.create(Spec(name=f"new-{chance.randrange(1 << 40)}", licence="MIT"))


def settle(registry, sources, chance):
    take_in(registry, sources, 0, into=f"settled-{chance.randrange(1 << 40)}")


def sweep(registry, sources, chance):
    registry.lake.repository(DATASET).gc(grace=timedelta(0))


@dataclass(frozen=True)
class Weight:
    """How often an operation is done, and how large it is when nothing else runs."""

    times: int
    seconds: float
    calls: int
    steps: int


OPERATIONS = {
    bring: Weight(4, 1.4, 350_000, 1_500),
    relabel: Weight(3, 0.2, 80_000, 400),
    release: Weight(6, 0.6, 220_000, 1_200),
    retract: Weight(1, 0.1, 30_000, 150),
    found: Weight(3, 0.1, 20_000, 150),
    settle: Weight(1, 1.4, 350_000, 1_500),
    sweep: Weight(1, 0.1, 20_000, 300),
}


def make(address, sources, operation, seed, say):
    """Do an operation, and then others without end; say before and after what there is."""
    registry, chance = Registry(lake=lake.connect(address)), random.Random(seed)  # noqa: S311 — repeatable, no secret
    while True:
        if operation is release:  # so that there is something to publish
            say({"doing": "relabel"})
            relabel(registry, sources, chance)
            say(standing(registry))
        say({"doing": operation.__name__})
        operation(registry, sources, chance)
        say(standing(registry))
        (operation,) = chance.choices(
            list(OPERATIONS), [weight.times for weight in OPERATIONS.values()]
        )


def standing(registry):
    """Return what is there, as everybody sees it."""
    repository = registry.lake.repository(DATASET)
    return {
        "branches": repository.branches(),
        "tags": repository.tags(),
        "datasets": registry.names(),
    }


# ------------------------------------------------------------------- what must be true
class Inspection:
    """Looks at a lake after a kill; its ``problems`` say what is not as it must be."""

    def __init__(self, address, sources):
        self.sources = sources
        self.registry = Registry(lake=lake.connect(address))
        self.repository = self.registry.lake.repository(DATASET)
        self.problems = []

    def after(self, acknowledged, doing):
        """Compare what is there with what was acknowledged."""
        began = time.perf_counter()
        now = standing(self.registry)
        self.registry.resolve(f"{DATASET}@draft").count("samples")
        took = time.perf_counter() - began
        self._kept(acknowledged, now, MOVES.get(doing, set()))
        if {*now["tags"]} - {*acknowledged["tags"]} and doing != "release":
            self.problems.append(f"{doing} made versions")
        for name in {*now["branches"]} | {*now["tags"]}:
            was = acknowledged["branches"].get(name, acknowledged["tags"].get(name))
            if was != now["branches"].get(name, now["tags"].get(name)):
                self.look_at(name)
        for name in now["datasets"]:
            if name != DATASET and name not in acknowledged["datasets"]:
                self._complete(name, doing)
        return {"now": standing(self.registry), "took": took, "problems": self.problems}

    def _kept(self, acknowledged, now, moving):
        for tag, commit in acknowledged["tags"].items():
            if now["tags"].get(tag) != commit:
                self.problems.append(f"{tag} moved from {commit} to {now['tags'].get(tag)}")
        for name, was in acknowledged["branches"].items():
            stands = now["branches"].get(name)
            if stands == was or name.startswith("staging/"):
                continue
            if name not in moving:
                self.problems.append(f"{name} moved from {was} to {stands}")
            elif stands is None or self.repository.merge_base(was, stands) != was:
                self.problems.append(f"{name} lost {was}: it stands at {stands}")
        if gone := {*acknowledged["datasets"]} - {*now["datasets"]}:
            self.problems.append(f"datasets are gone: {gone}")

    def look_at(self, name, dataset=DATASET):
        """See that all of a version or a branch can be read, and is of one state of the source."""
        if name == "tombstones":
            return
        version = self.registry.resolve(f"{dataset}@{name}")
        for table in version.tables():
            version.table(table)
        if not version.count("samples"):
            return
        ids = set(version.table("samples")["id"].to_pylist())
        pairs = set(version.table("assets")["sample"].to_pylist())
        first = int(version.chip("c0", "image")[0, 0, 0])
        if not ids == pairs == {"c0", "c1", "c2", f"x{first}"}:
            self.problems.append(f"{name} is torn: {ids} {pairs} {first}")
        for sample in ids:
            version.chip(sample, "image")
        if lost := check_pointers(version.root).num_rows:
            self.problems.append(f"{name} has {lost} pointers to no pixels")
        if version.tag is not None:
            self._published(version)

    def _published(self, version):
        if version.commit.metadata["verdict"] != "passed":
            self.problems.append(f"{version.tag} passed no check")
        report = (version.root.path / "reports" / "quality.json").read_text()
        if '"verdict": "passed"' not in report:
            self.problems.append(f"{version.tag} has no report that passed")
        items = pq.read_metadata(version.root.path / "items.parquet").num_rows
        if items != version.count("samples"):
            self.problems.append(f"{version.tag} has {items} items")

    def _complete(self, name, doing):
        """See that a dataset that just appeared is whole, and let its maker come again."""
        if doing not in {"found", "settle"}:
            self.problems.append(f"{doing} made a dataset: {name}")
        repository = self.registry.lake.repository(name)
        card = self.registry.resolve(f"{name}@main").spec
        if repository.protected() != {"main"} or card.name != name or card.licence != "MIT":
            self.problems.append(f"{name} was half made")
        self.registry.draft(name)
        for branch in self.registry.branches(name):
            self.look_at(branch, name)
        if doing == "settle":
            take_in(self.registry, self.sources, 0, into=name)
            if self.registry.resolve(f"{name}@draft").count("samples") != 4:
                self.problems.append(f"{name} was not completed")
        self.problems += [f"{name}: {damage}" for damage in repository.fsck()]

    def everything(self):
        """Check every byte and every version, then do again what may have been interrupted."""
        self.problems += [str(damage) for damage in self.repository.fsck()]
        self.problems += git_fsck(self.repository)
        for state in (1, 2):
            take_in(self.registry, self.sources, state)
            ids = self.registry.resolve(f"{DATASET}@draft").table("samples")["id"].to_pylist()
            if sorted(ids) != ["c0", "c1", "c2", f"x{state}"]:
                self.problems.append(f"the draft took in {ids}, not state {state}")
        with suppress(NothingToPublishError):
            publish(self.registry, DATASET, message="after the storm")
        tags = [version.tag for version in self.registry.versions(DATASET)]
        if tags != [f"v{number}" for number in range(1, len(tags) + 1)]:
            self.problems.append(f"the versions are {tags}")
        for tag in tags:
            self.look_at(tag)
        if left := list(self.repository._layout.sessions.iterdir()):
            self.problems.append(f"sessions were left: {left}")
        return {"now": standing(self.registry), "problems": self.problems}


# ------------------------------------------------------------------------- the killing
@dataclass
class PipelineStorm:
    """A lake whose makers of datasets are killed, and what must be true of it."""

    folder: Path
    seed: int = 0
    kills: int = 0
    acknowledged: int = 0
    slowest_recovery: float = 0.0
    problems: list[str] = field(default_factory=list)
    during: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        os.environ["EOLAB_USER"] = USER
        os.environ["EOLAB_AUTHOR"] = "Anna <anna@example.org>"
        self.sources = self.folder / "sources"
        self.prepared = in_a_child(self._prepare)
        self._begin_anew()

    def _prepare(self):
        write_sources(self.sources)
        registry = Registry(lake=lake.init(str(self.folder / "prepared")))
        take_in(registry, self.sources, 0)
        publish(registry, DATASET, message="first")
        return standing(registry)

    def _begin_anew(self):
        folder = Path(tempfile.mkdtemp(dir=self.folder)) / "lake"
        shutil.copytree(self.folder / "prepared", folder)
        self.address, self.standing = folder.as_uri(), self.prepared

    def strike(self):
        """Start a maker, kill it, and check what it left."""
        seed = self.seed * 1_000_003 + self.kills
        chance = random.Random(seed)  # noqa: S311 — repeatable, no secret
        weights = list(OPERATIONS.values())
        (operation,) = chance.choices(list(OPERATIONS), [weight.times for weight in weights])
        weight = OPERATIONS[operation]
        death = Death.by_chance(
            chance, seconds=weight.seconds, calls=weight.calls, on_disk=weight.steps
        )
        heard = run_and_kill(
            lambda say: make(self.address, self.sources, operation, seed, say), death
        )
        self.kills += 1
        doing = self._hear(heard)
        found = in_a_child(
            lambda: Inspection(self.address, self.sources).after(self.standing, doing)
        )
        self.slowest_recovery = max(self.slowest_recovery, found["took"])
        self._take(found, doing)
        if not self.kills % FRESH_AFTER:
            self.check_everything()
            shutil.rmtree(Path(self.address.removeprefix("file://")).parent)
            self._begin_anew()

    def _hear(self, heard):
        doing = None
        for told in heard:
            if "failed" in told:
                self.problems.append(f"kill {self.kills} of pipeline {self.seed}: {told['failed']}")
            elif "doing" in told:
                doing = told["doing"]
            else:
                self.standing, doing = told, None
                self.acknowledged += 1
        if doing:
            self.during[doing] = self.during.get(doing, 0) + 1
        return doing

    def _take(self, found, doing):
        self.standing = found["now"]
        self.problems += [
            f"kill {self.kills} of pipeline {self.seed} during {doing}: {problem}"
            for problem in found["problems"]
        ]

    def check_everything(self):
        """Check every byte and version, and that what was interrupted can be done again."""
        self._take(in_a_child(lambda: Inspection(self.address, self.sources).everything()), None)
