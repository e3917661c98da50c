"""A publisher may be killed at any point: nothing is published, or a version that is complete."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry import lake
from registry.catalog import Provider, Registry, Spec, edit_rows
from registry.curate.publishing import NothingToPublishError, publish
from registry.tables import edit, store
from registry.tables.pixels import encode
from registry.tables.schemas import ASSETS, PIXELS, SAMPLES

CHILD = """
import importlib, os, signal, sys
from registry.catalog import connect
from registry.curate import publishing

address, home, name, when = sys.argv[1:]
module, _, owner = home.partition(":")
holder = importlib.import_module(module)
holder = getattr(holder, owner) if owner else holder
real = getattr(holder, name)

def die(*args, **said):
    if when == "after":
        real(*args, **said)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(holder, name, die)
publishing.publish(connect(address), "fields", message="second")
"""

REPOSITORY = "registry.lake.local.repository:LocalRepository"
STEPS = [
    (REPOSITORY, "create_branch", "after"),
    ("registry.curate.gate", "join", "after"),
    ("registry.curate.gate", "_write_derived", "before"),
    ("registry.tables.store", "checkpoint", "after"),
    ("registry.curate.gate", "_record", "after"),
    (REPOSITORY, "advance", "after"),
    (REPOSITORY, "create_tag", "before"),
    (REPOSITORY, "create_tag", "after"),
    (REPOSITORY, "delete_branch", "before"),
]


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    registry = Registry(lake=lake.init(str(tmp_path / "lake")))
    card = Spec(name="fields", licence="MIT", providers=(Provider(name="ESA"),), classes=("a", "b"))
    draft = registry.create(card)
    chip = encode(np.arange(8, dtype=np.uint8).reshape(2, 2, 2))
    sample = {
        "id": "s",
        "geometry": shapely.to_wkb(shapely.box(9, 45, 10, 46)),
        "datetime": datetime(2020, 6, 1, tzinfo=UTC),
        "label": ["a"],
        "georeferenced": True,
    }
    asset = {
        "sample": "s",
        "asset": "s2",
        "pixels": chip.sha256,
        "shape": [2, 2, 2],
        "dtype": "uint8",
        "crs": "EPSG:32632",
        "transform": [10.0, 0.0, 5e5, 0.0, -10.0, 5e6],
    }
    pixels = {"sha256": chip.sha256, "codec": chip.codec, "data": chip.data}
    with draft.edit("one sample") as root:
        edit.upsert(root, SAMPLES, pa.Table.from_pylist([sample], schema=SAMPLES.arrow))
        edit.upsert(root, ASSETS, pa.Table.from_pylist([asset], schema=ASSETS.arrow))
        store.append(root, PIXELS, pa.Table.from_pylist([pixels], schema=PIXELS.arrow))
    publish(registry, "fields", message="first")
    edit_rows(registry, "fields@draft", assignments=["label=['b']"], where="id = 's'")
    return registry


def assert_complete(version, label):
    assert version.commit.metadata["verdict"] == "passed"
    assert version.table("samples").column("label").to_pylist() == [[label]]
    assert '"verdict": "passed"' in (version.root.path / "reports" / "quality.json").read_text()
    assert (version.root.path / "items.parquet").stat().st_size > 0
    assert version.chip("s", "s2").shape == (2, 2, 2)


def is_killed_at(registry, step, tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", CHILD, registry.lake.address, *step],
        env=os.environ | {"EOLAB_USER": "anna"},
        capture_output=True,
        text=True,
        check=False,
    )
    return child.returncode == -signal.SIGKILL, child.stderr


@pytest.mark.parametrize("step", STEPS, ids=lambda step: "-".join(step[1:]))
def test_a_killed_publish_leaves_nothing_or_a_whole_version(registry, step, tmp_path):
    killed, said = is_killed_at(registry, step, tmp_path)
    assert killed, said

    tags = [version.tag for version in registry.versions("fields")]
    assert tags in (["v1"], ["v1", "v2"])
    assert_complete(registry.resolve("fields@v1"), "a")
    if len(tags) == 2:
        assert_complete(registry.resolve("fields@v2"), "b")
    assert list(registry.lake.repository("fields").fsck()) == []

    with suppress(NothingToPublishError):  # it was complete, or its tag was all it lacked
        publish(registry, "fields", message="second")
    assert [version.tag for version in registry.versions("fields")] == ["v1", "v2"]
    assert_complete(registry.resolve("fields@v2"), "b")
    assert registry.resolve("fields@main").commit == registry.resolve("fields@v2").commit


def test_publishers_of_one_dataset_who_meet_all_get_in_or_are_told(registry, tmp_path):
    people = ["bob", "eve", "joe"]
    for person in people:
        registry.branch("fields", f"draft/{person}", at="v1")
        with registry.draft("fields", f"draft/{person}").edit(person) as root:
            (root / f"{person}.md").write_text(person)
    code = (
        "import sys; from registry.catalog import connect; from registry.curate import publishing;"
        "publishing.publish(connect(sys.argv[1]), 'fields', message='race')"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, registry.lake.address],
            env=os.environ | {"EOLAB_USER": person},
            stderr=subprocess.PIPE,
            text=True,
        )
        for person in people
    ]
    said = [child.communicate()[1] for child in children]

    assert [child.returncode for child in children] == [0, 0, 0], said
    versions = registry.versions("fields")
    assert [version.tag for version in versions] == ["v1", "v2", "v3", "v4"]
    newest = {entry.path for entry in versions[-1].repository.entries("v4")}
    assert newest >= {"bob.md", "eve.md", "joe.md"}
    history = [commit.id for commit in registry.log("fields@v4")]
    assert all(version.commit.id in history for version in versions)
