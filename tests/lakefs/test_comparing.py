"""What differs, who changed it, and both pages: on a server as on the embedded lake."""

import pyarrow as pa
import pytest

from registry.catalog import MergeConflictError, Registry, Spec
from registry.catalog.merging.pending import pending
from registry.tables import edit, store
from registry.tables.schemas import SAMPLES, SPLITS
from registry.web import conflicts, differences


def relabel(draft, message, key, word):
    row = pa.table({"id": [key], "label": [[word]]})
    with draft.edit(message) as root:
        edit.upsert(root, SAMPLES, row)


@pytest.fixture
def catalog(lake):
    """A dataset with three samples on a branch, and two branches that parted from it."""
    made = Registry(lake=lake)
    made.create(Spec(name="ships"))
    draft = made.branch("ships", "start")
    with draft.edit("first") as root:
        store.append(root, SAMPLES, pa.table({"id": ["a", "b", "c"], "label": [["boat"]] * 3}))
        store.append(root, SPLITS, pa.table({"sample": ["a"], "subset": ["train"]}))
    for name in ("anna", "ben"):
        made.branch("ships", name, "start")
        relabel(made.draft("ships", name), f"{name} looked", "a", name)
    relabel(made.draft("ships", "anna"), "only anna", "b", "ferry")
    return made


def test_rows_differ_on_a_server_as_anywhere(catalog, tmp_path):
    found = catalog.diff("ships@start", "ships@anna")

    assert {name: table.updated for name, table in found.tables.items()} == {"samples": 2}
    assert sorted(found.tables["samples"].to_table()["id"].to_pylist()) == ["a", "b"]
    differences.render(found, tmp_path / "page.html")
    assert "only anna" in (tmp_path / "page.html").read_text("utf-8")


def test_a_history_on_a_server_says_who_changed_a_row(catalog):
    with pytest.raises(MergeConflictError):
        catalog.merge("ships", "ben", "anna")
    catalog.merge("ships", "ben", "anna", prefer="theirs", message="ben was there")

    told = catalog.blame("ships@anna", "samples").to_pylist()

    assert {row["id"]: row["message"] for row in told} == {
        "a": "ben looked", "b": "only anna", "c": "first",
    }  # fmt: skip


def test_conflicts_on_a_server_are_drawn_with_who_made_them(catalog, tmp_path):
    with pytest.raises(MergeConflictError):
        catalog.merge("ships", "ben", "anna")

    waiting = pending(catalog.lake.repository("ships"))
    conflicts.render(catalog, "ships", waiting, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "ben looked" in page
    assert "anna looked" in page
    assert "eolab resolve ships a --ours" in page
