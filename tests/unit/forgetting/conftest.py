"""A dataset with one sample too many, all through a history of branches, tags and slices."""

import hashlib
import io
import json
import shutil
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from registry import lake
from registry.catalog import Registry, Spec, edit_rows
from registry.lake import Change, ChangeKind, Entry
from registry.query import slice as cut
from registry.tables import edit, store
from registry.tables.pixels import encode
from registry.tables.schemas import (
    ANNOTATIONS,
    ASSETS,
    PIXELS,
    SAMPLES,
    features_schema,
    reports_schema,
    splits_schema,
)

CANARY = "canary_4711"
"""Id of the sample that is to be forgotten; it is found in any file by looking for it."""

OTHERS = ("boat_01", "boat_02", "boat_03")
"""Ids of samples that stay."""


def chip(seed):
    return np.random.default_rng(seed).integers(0, 255, (2, 16, 16), np.uint8)


def sample_rows(names):
    boxes = [shapely.to_wkb(shapely.box(9 + i, 45, 9.5 + i, 46)) for i, _ in enumerate(names)]
    return pa.table({
        "id": list(names),
        "geometry": boxes,
        "datetime": [datetime(2020, 6, 1, tzinfo=UTC)] * len(names),
        "label": [["boat"]] * len(names),
        "georeferenced": [True] * len(names),
    })


def chips_of(names):
    return {name: encode(chip(1000 if name == CANARY else ord(name[-1]))) for name in names}


def asset_rows(names):
    return pa.table({
        "sample": list(names),
        "asset": ["s2"] * len(names),
        "pixels": [one.sha256 for one in chips_of(names).values()],
        "shape": [[2, 16, 16]] * len(names),
        "dtype": ["uint8"] * len(names),
    })


def pixel_rows(names):
    found = chips_of(names).values()
    return pa.table({
        "sha256": [one.sha256 for one in found],
        "codec": [one.codec for one in found],
        "data": [one.data for one in found],
    })


def annotation_rows(names, annotator="ann-1"):
    return pa.table({
        "id": [f"{name}-a1" for name in names],
        "sample": list(names),
        "category": ["boat"] * len(names),
        "annotator": [annotator] * len(names),
        "attributes": [json.dumps({"seen": name}) for name in names],
    })


def add(root: Path, names):
    """Add samples with all that belongs to them."""
    store.append(root, SAMPLES, sample_rows(names))
    store.append(root, ASSETS, asset_rows(names))
    store.append(root, PIXELS, pixel_rows(names))
    store.append(root, ANNOTATIONS, annotation_rows(names))


def report_on(root: Path, names):
    store.append(
        root,
        reports_schema("quality"),
        pa.table({
            "id": [f"q:{name}" for name in names],
            "check": ["seen"] * len(names),
            "severity": ["info"] * len(names),
            "sample": list(names),
            "message": [f"{name} was looked at" for name in names],
        }),
    )
    notes = {"looked_at": [f"images/{name}.tif" for name in names]}
    (root / "reports" / "notes.json").write_text(json.dumps(notes))


@pytest.fixture
def canary():
    return CANARY


@dataclass
class World:
    """The dataset, and what its history is made of."""

    registry: Registry
    commits: dict[str, str]
    folder: Path

    @property
    def repository(self):
        return self.registry.lake.repository("ships")

    def payload(self):
        """Return the packed pixels of the canary."""
        return chips_of([CANARY])[CANARY].data[16:]

    def gone_pixels(self):
        """Return the digest of the canary's pixels."""
        return chips_of([CANARY])[CANARY].sha256

    def chip_rows(self, name):
        """Return the schema of pixels and one row of it."""
        return PIXELS, pixel_rows([name])

    def asset_rows(self, name):
        return asset_rows([name])

    def schema(self, table):
        return {"assets": ASSETS, "samples": SAMPLES, "annotations": ANNOTATIONS}[table]

    def change(self, path, data):
        entry = Entry(path=path, sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        return Change(path=path, kind=ChangeKind.CHANGED, before=None, after=entry)

    def fetch(self, data):
        return lambda _: io.BytesIO(data)

    def hits(self, needle: bytes):
        """Return every file below the lake's folder that has some bytes, compressed or not."""
        return [str(path) for path in files_below(self.folder) if needle in whole(path)]


def files_below(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def whole(path):
    """Return a file's bytes, and those of what it packs: Git's objects and Parquet's pages."""
    data = path.read_bytes()
    found = [data]
    if data[:4] == b"PAR1":
        table = pq.read_table(path)
        found += [repr(table.to_pylist()).encode()]
    elif "/objects/" in str(path):
        for start in range(len(data)):
            if data[start : start + 1] == b"\x78":
                try:
                    found.append(zlib.decompressobj().decompress(data[start:]))
                except zlib.error:
                    continue
    return b"".join(found)


@pytest.fixture(scope="session")
def _made(tmp_path_factory, ungated):
    """Make the history once.

    ``v1`` is clean; ``v2`` has the canary; ``v3`` was published after it was deleted; ``anna/fix``
    edits it, ``derived/v2`` has features and a slice of it, and a branch that is gone had it too.
    """
    folder = tmp_path_factory.mktemp("forgetting")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_USER", "anna")
        commits = _tell(Registry(lake=lake.init(str(folder / "lake"))), ungated)
    return folder / "lake", commits


def _tell(registry, ungated):
    draft = registry.create(Spec(name="ships", licence="MIT", classes=("boat",)))
    commits = {}

    def first(root):
        add(root, OTHERS[:2])
        store.append(root, splits_schema("default"), pa.table({
            "sample": list(OTHERS[:2]), "subset": ["train", "test"],
        }))  # fmt: skip
        report_on(root, OTHERS[:2])

    commits["v1"] = ungated(registry, draft, first, "first").commit.id
    draft = registry.draft("ships")

    def second(root):
        add(root, (CANARY, OTHERS[2]))
        store.append(root, splits_schema("default"), pa.table({
            "sample": [CANARY], "subset": ["train"],
        }))  # fmt: skip
        report_on(root, (CANARY,))

    commits["v2"] = ungated(registry, draft, second, f"add {CANARY}").commit.id
    registry.branch("ships", "anna/fix", at="v2")
    edit_rows(
        registry, "ships@anna/fix", table="annotations",
        assignments=["category='ship'"], where=f"sample = '{CANARY}'",
        message=f"call {CANARY} a ship",
    )  # fmt: skip
    derived = registry.derive(registry.resolve("ships@v2"))
    with derived.edit("features") as root:
        schema = features_schema("mean", [pa.field("mean", pa.float64())])
        names = [*OTHERS, CANARY]
        store.append(root, schema, pa.table({"sample": names, "mean": [1.0] * len(names)}))
    commits["slice"] = cut(
        registry, "select id from \"ships@v2\".samples where label = ['boat']"
    ).id
    registry.branch("ships", "lost", at="v2")
    edit_rows(
        registry, "ships@lost", table="samples", assignments=["target=7"],
        where=f"id = '{CANARY}'", message="weigh it",
    )  # fmt: skip
    commits["lost"] = registry.lake.repository("ships").resolve("lost")
    registry.delete_branch("ships", "lost")
    draft = registry.draft("ships")

    def third(root):
        for table in ("samples", "assets", "annotations", "splits/default"):
            key = "id" if table == "samples" else "sample"
            edit.delete(root, table, where=f"{key} = '{CANARY}'")

    commits["v3"] = ungated(registry, draft, third, "without it").commit.id
    return commits


@pytest.fixture
def told_into(ungated):
    """Tell the history into an empty lake."""

    def told(registry, folder):
        return World(registry=registry, commits=_tell(registry, ungated), folder=folder)

    return told


@pytest.fixture
def world(_made, tmp_path, monkeypatch):
    made, commits = _made
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(made, tmp_path / "lake", copy_function=shutil.copy2)
    registry = Registry(lake=lake.connect(str(tmp_path / "lake")))
    return World(registry=registry, commits=dict(commits), folder=tmp_path)
