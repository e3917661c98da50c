"""Merging on the command line: two people's labels, a conflict, every way to decide it."""

import json
import os
import shlex
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import shapely

from registry import lake
from registry.catalog import Provider, Registry, Spec, connect
from registry.cli.deciding import conflicts_text, decisions_of
from registry.errors import InvalidInputError
from registry.tables import edit
from registry.tables.schemas import ANNOTATIONS, ASSETS, SAMPLES

NAMES = ("boat_1", "boat_2", "boat_17")


@pytest.fixture
def ships(tmp_path, monkeypatch) -> Registry:
    """`ships` with three annotated samples on `main`, and branches `anna/fix` and `ben`."""
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "lake"))
    registry = Registry(lake=lake.init(str(tmp_path / "lake")))
    spec = Spec(
        name="ships",
        licence="MIT",
        providers=(Provider(name="ESA"),),
        classes=("boat", "Boat", "ship"),
    )
    registry.create(spec)
    with registry.draft("ships").edit("three boats") as root:
        found = [{"id": name, "label": ["boat"], "georeferenced": False} for name in NAMES]
        edit.upsert(root, SAMPLES, pa.Table.from_pylist(found, schema=SAMPLES.arrow))
        drawn = [{"id": f"{n}_a", "sample": n, "category": "boat"} for n in NAMES]
        edit.upsert(root, ANNOTATIONS, pa.Table.from_pylist(drawn, schema=ANNOTATIONS.arrow))
        kept = [{"sample": n, "asset": "s2", "href": f"https://example.org/{n}.tif"} for n in NAMES]
        edit.upsert(root, ASSETS, pa.Table.from_pylist(kept, schema=ASSETS.arrow))
    repository = registry.lake.repository("ships")
    main = repository.resolve("main")
    repository.advance("main", to=registry.draft("ships").head, expected=main)
    for name in ("anna/fix", "ben"):
        registry.branch("ships", name)
    return registry


@pytest.fixture
def parted(ships, eolab):
    """Anna and Ben changed one category differently; Anna another, Ben a third."""

    def said(branch, name, category):
        done = eolab(
            "edit", f"ships@{branch}", "--table", "annotations", "--set", f"category='{category}'",
            "--where", f"id = '{name}'", "--why", f"{branch} looked",
        )  # fmt: skip
        assert done.status == 0, done.err

    said("anna/fix", "boat_17_a", "Boat")
    said("anna/fix", "boat_1_a", "Boat")
    said("ben", "boat_17_a", "ship")
    said("ben", "boat_2_a", "ship")
    return ships


@pytest.fixture
def waiting(parted, eolab):
    done = eolab("merge", "ships", "anna/fix", "--into", "ben")
    assert done.status == 4
    assert "1 conflict between 'ben' and 'anna/fix'" in done.err
    assert "eolab conflicts ships" in done.err
    return parted


def categories(branch="ben"):
    found = connect(os.environ["EOLAB_LAKE"]).resolve(f"ships@{branch}").table("annotations")
    return {row["sample"]: row["category"] for row in found.to_pylist()}


def test_a_clean_merge_says_what_came_from_which_side(parted, eolab):
    eolab("branch", "ships", "third", "--at", "main")
    eolab(
        "edit", "ships@third", "--table", "annotations", "--set", "category='ship'", "--where",
        "id = 'boat_2_a'", "-m", "a ship",
    )  # fmt: skip
    eolab(
        "edit", "ships@third", "--table", "annotations", "--set", "category='ship'", "--where",
        "id = 'boat_17_a'",
    )  # fmt: skip

    done = eolab("merge", "ships", "third", "--into", "ben")

    assert done.status == 0, done.err
    assert "merged third into ben as" in done.out
    assert "annotations: no row changed by third; 2 changed on ben; 2 the same on both" in (
        done.out
    )
    assert "by Anna" in done.out


def test_conflicts_are_a_table(waiting, eolab, tmp_path):
    shown = eolab("conflicts", "ships")
    assert shown.status == 0
    for word in ("annotations", "boat_17_a", "category", '"boat"', '"ship"', '"Boat"'):
        assert word in shown.out
    assert "1 of 1 conflicts of the merge of anna/fix into ben are open" in shown.out

    document = eolab("conflicts", "ships", "--json").document
    assert (document["open"], document["merge"]["name"]) == (1, "anna/fix")
    assert document["conflicts"][0]["columns"] == ["category"]
    for ending in ("csv", "json", "parquet"):
        file = tmp_path / f"conflicts.{ending}"
        assert eolab("conflicts", "ships", "-o", file).status == 0
        assert file.stat().st_size > 0
    assert eolab("conflicts", "ships", "-o", tmp_path / "conflicts.xls").status == 2


def test_a_merge_that_waits_is_seen_where_one_looks(waiting, eolab):
    assert "1 of 1 conflicts open" in eolab("branch", "ships").out
    assert "conflicts open" in eolab("show", "ships@ben").out
    assert eolab("show", "ships@anna/fix", "--json").document["waits"] is None


@pytest.mark.parametrize(
    ("decision", "category"),
    [
        (["--theirs", "--where", "category='Boat'"], "Boat"),
        (["--ours", "boat_17_a"], "ship"),
        (["--set", "category='boat'"], "boat"),
        (["--theirs"], "Boat"),
        (["--theirs", "--table", "annotations", "annotations/boat_17_a"], "Boat"),
    ],
)
def test_every_way_to_decide_ends_the_merge(waiting, eolab, decision, category):
    done = eolab("resolve", "ships", *decision, "-m", "seen from the quay")

    assert done.status == 0, done.err
    assert "merged anna/fix into ben as" in done.out
    assert categories() == {"boat_1": "Boat", "boat_2": "ship", "boat_17": category}
    assert eolab("conflicts", "ships").status == 3


def test_a_predicate_that_fits_nothing_is_refused_and_leaves_all_open(waiting, eolab):
    done = eolab("resolve", "ships", "--theirs", "--where", "category='Canoe'")

    assert done.status == 3
    assert "no conflict fits: category='Canoe'" in done.err
    assert "eolab conflicts ships" in done.err
    assert eolab("conflicts", "ships", "--json").document["open"] == 1
    assert eolab("resolve", "ships", "--theirs", "--where", "colour='red'").status == 2


@pytest.mark.parametrize(
    ("side", "hint"), [("ours", "KEY --ours"), ("theirs", "KEY --theirs"), ("base", "the value")]
)
def test_a_value_that_speaks_of_a_side_is_told_how_to_take_it(waiting, eolab, side, hint):
    done = eolab("resolve", "ships", "--set", f"category={side}.category")

    assert done.status == 2
    assert f"speaks of '{side}'" in done.err
    assert hint in done.err
    assert "Binder" not in done.err


def test_a_hint_that_names_every_key_does_not_say_there_are_more(waiting, eolab):
    done = eolab("resolve", "ships", "--ours", "boat_1_a")

    assert done.status == 3
    assert done.err.splitlines()[-1].endswith("there are boat_17_a")


@pytest.mark.parametrize(
    "arguments",
    [[], ["--ours", "--theirs"], ["--ours", "--set", "category='x'"], ["--edit", "--theirs"]],
)
def test_one_way_to_decide_is_given(waiting, eolab, arguments):
    assert eolab("resolve", "ships", *arguments).status == 2


def editor(monkeypatch, tmp_path, code):
    script = tmp_path / "editor.py"
    script.write_text(f"import re, sys\npath = sys.argv[1]\ntext = open(path).read()\n{code}\n")
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, str(script)]))
    monkeypatch.delenv("VISUAL", raising=False)


def test_conflicts_are_decided_in_an_editor(waiting, eolab, monkeypatch, tmp_path):
    editor(monkeypatch, tmp_path, "open(path, 'w').write(text.replace('1 =', '1 = theirs'))")

    assert eolab("resolve", "ships", "--edit").status == 0
    assert categories()["boat_17"] == "Boat"


def test_what_was_written_wrongly_is_kept_to_be_mended(waiting, eolab, monkeypatch, tmp_path):
    editor(monkeypatch, tmp_path, "open(path, 'w').write(text.replace('1 =', '1 = tehirs'))")

    done = eolab("resolve", "ships", "--edit", "--json")
    assert done.status == 2
    assert "decides nothing: '1 = tehirs'" in done.document["error"]["problem"]
    file = Path(done.document["error"]["hint"].rpartition("--from ")[2])
    file.write_text(file.read_text().replace("tehirs", 'set {"category": "\'boat\'"}'))

    assert eolab("resolve", "ships", "--from", file).status == 0
    file.unlink()
    assert categories()["boat_17"] == "boat"


@pytest.mark.parametrize("code", ["sys.exit(3)", "pass"])
def test_an_editor_that_fails_or_changes_nothing_decides_nothing(
    waiting, eolab, monkeypatch, tmp_path, code
):
    editor(monkeypatch, tmp_path, code)

    assert eolab("resolve", "ships", "--edit").status in {0, 7}
    assert "1 of 1 conflicts" in eolab("conflicts", "ships").out


def test_an_editor_that_is_not_there_is_said(waiting, eolab, monkeypatch):
    monkeypatch.setenv("VISUAL", "/nowhere/at-all")
    assert eolab("resolve", "ships", "--edit").status == 7


@pytest.mark.parametrize(
    "line",
    ["2 = ours", "0 = ours", "x = ours", "1 = OURS", "1 = set", "1 = set {}", "1 = set [1]",
     '1 = set {"score": "1"}', '1 = set {"category": 1}', "1 = ours\n1 = ours", "ours", "1 ours"],
)  # fmt: skip
def test_a_file_of_decisions_is_read_strictly(waiting, line):
    from registry.catalog import pending

    found = pending(waiting.lake.repository("ships"))
    text = "\n".join(row for row in conflicts_text(found).splitlines() if row.startswith("#"))

    with pytest.raises(InvalidInputError):
        decisions_of(f"{text}\n{line}\n", found)
    assert decisions_of(text, found) == {}


def test_a_merge_is_dropped(waiting, eolab):
    done = eolab("merge", "ships", "--abort")

    assert done.status == 0
    assert "is dropped" in done.out
    assert eolab("merge", "ships", "--abort").status == 3
    assert eolab("merge", "ships", "ben", "--abort").status == 2
    assert eolab("merge", "ships").status == 2


def test_a_merge_into_main_waits_and_ends_at_the_gate(parted, eolab):
    assert eolab("merge", "ships", "ben").status == 0
    assert eolab("merge", "ships", "anna/fix").status == 4

    assert eolab("resolve", "ships", "--theirs").status == 0
    main = parted.resolve("ships@main")
    assert main.commit.metadata["verdict"] == "passed"
    assert categories("main") == {"boat_1": "Boat", "boat_2": "ship", "boat_17": "Boat"}


def test_a_decision_that_the_gate_refuses_is_kept_and_can_be_changed(parted, eolab):
    eolab("merge", "ships", "ben")
    eolab("merge", "ships", "anna/fix")

    refused = eolab("resolve", "ships", "--set", "category='submarine'")
    assert refused.status == 5, refused.out
    assert "submarine" in eolab("conflicts", "ships").out
    assert eolab("resolve", "ships", "--ours", "boat_17_a").status == 0
    assert categories("main")["boat_17"] == "ship"


def test_a_commit_is_reverted_and_picked(parted, eolab):
    log = eolab("log", "ships@ben", "--json").document
    second, first = (entry["commit"]["id"] for entry in log[:2])

    done = eolab("revert", "ships", first[:10], "--on", "ben", "--why", "it was a boat")
    assert done.status == 0, done.err
    assert f"reverted {first[:12]} into ben" in done.out
    assert categories() == {"boat_1": "boat", "boat_2": "ship", "boat_17": "boat"}
    assert eolab("log", "ships@ben", "--json").document[0]["commit"]["message"] == "it was a boat"

    assert eolab("cherry-pick", "ships", second, "--on", "anna/fix").status == 0
    assert categories("anna/fix")["boat_2"] == "ship"
    assert eolab("revert", "ships", second, "--on", "anna/fix").status == 2


def test_a_protected_branch_moves_by_what_passes_alone(parted, eolab):
    assert eolab("branch", "ships", "release", "--at", "main").status == 0
    assert eolab("branch", "ships", "release", "--protect").status == 0
    assert "protected" in eolab("branch", "ships").out

    setting = ["--set", "label=['ship']", "--where", "true"]
    assert eolab("edit", "ships@release", *setting).status == 6
    assert eolab("branch", "ships", "release", "--delete").status == 6
    assert eolab("merge", "ships", "ben", "--into", "release").status == 0
    assert categories("release")["boat_17"] == "ship"
    assert parted.resolve("ships@release").commit.metadata["verdict"] == "passed"

    assert eolab("branch", "ships", "draft", "--protect").status == 2
    assert eolab("branch", "ships", "nowhere", "--protect").status == 3
    assert eolab("branch", "ships", "--protect").status == 2
    assert eolab("branch", "ships", "ben", "--protect", "--delete").status == 2


def test_json_says_all_that_a_merge_did(waiting, eolab):
    document = eolab("resolve", "ships", "--theirs", "--json").document

    assert document["moved"]
    assert document["tables"]["annotations"]["updated"] == 2
    assert document["decided"][0]["decision"] == "theirs"
    assert document["joining"]["into"] == "ben"
    assert json.dumps(document)


def test_whoever_commits_may_say_why(eolab, tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("EOLAB_USER", "anna")
    assert eolab("init").status == 0
    made = tmp_path / "scenes"
    eolab("simulate", "classification", made, "--samples", "4")
    done = eolab(
        "ingest", made, "--into", "scenes", "--licence", "CC0-1.0", "--provider", "us", "--why",
        "the first four", "--workers", 1,
    )  # fmt: skip
    assert done.status == 0, done.err
    log = eolab("log", "scenes@draft", "--json").document
    assert "the first four" in [entry["commit"]["message"] for entry in log]

    assert eolab("publish", "scenes", "--why", "released").status == 0
    query = 'select id from "scenes@v1".samples'
    assert eolab("slice", query, "-m", "for the paper").status == 0
    log = eolab("log", "scenes@derived/v1", "--json").document
    assert log[0]["commit"]["message"] == "for the paper"


def test_a_merge_says_how_many_rows_came_where_only_one_side_worked(parted, eolab):
    done = eolab("merge", "ships", "ben")
    assert "annotations: 0 inserted, 2 updated, 0 deleted by ben" in done.out, done.err

    eolab("branch", "ships", "third")
    eolab("edit", "ships@third", "--table", "annotations", "--delete", "--where", "id = 'boat_1_a'")
    eolab("edit", "ships@third", "--set", "target=1.0", "--where", "true")
    eolab("branch", "ships", "fourth", "--at", "main")
    eolab("edit", "ships@fourth", "--table", "assets", "--set", "size=1", "--where", "true")
    done = eolab("merge", "ships", "third", "--into", "fourth")
    assert "annotations: 0 inserted, 0 updated, 1 deleted by third" in done.out, done.err
    assert "samples: 0 inserted, 3 updated, 0 deleted by third" in done.out


@pytest.mark.parametrize(
    ("decision", "said"),
    [(["--ours"], "ours"), (["--set", "category='boat'"], "values of one's own")],
)
def test_the_merge_says_why_it_was_decided_and_the_report_what_it_is(parted, eolab, decision, said):
    assert eolab("merge", "ships", "ben").status == 0
    assert eolab("merge", "ships", "anna/fix").status == 4

    assert eolab("resolve", "ships", *decision, "-m", "west is right").status == 0

    report, merged = (one["commit"] for one in eolab("log", "ships", "--json").document[:2])
    assert report["message"].startswith("report on main: passed, level ")
    assert merged["message"].splitlines() == [
        "merge anna/fix into main", "", f"annotations, 1 conflict, {said}: west is right",
    ]  # fmt: skip
    assert len(merged["parents"]) == 2
    blamed = eolab("blame", "ships@main", "--key", "boat_17_a")
    assert f"decided {said}: west is right ({merged['id'][:10]})" in " ".join(blamed.out.split())
    assert "decided" not in eolab("blame", "ships@main", "--key", "boat_2_a").out
    assert "boat_17" not in json.dumps(merged["metadata"])


def test_a_branch_that_simply_moves_forward_is_named_by_the_commit_of_its_report(parted, eolab):
    assert eolab("merge", "ships", "ben", "-m", "Ben looked").status == 0

    newest = eolab("log", "ships", "--json").document[0]["commit"]
    lines = newest["message"].splitlines()
    assert lines[0] == "Ben looked"
    assert lines[-1].startswith("report on main: passed, level ")


def test_what_changed_no_row_is_nothing_to_take_back(ships, eolab):
    eolab("edit", "ships@draft", "--set", "target=1.0", "--where", "true")
    published = eolab("publish", "ships", "-m", "first", "--allow", "licence=asked", "--json")
    assert published.status == 0, published.err
    eolab("edit", "ships@draft", "--set", "target=2.0", "--where", "id = 'boat_1'")
    head = eolab("log", "ships@draft", "--json").document[0]["commit"]["id"]

    for command in ("revert", "cherry-pick"):
        done = eolab(command, "ships", "v1")
        assert (done.status, done.out.strip()) == (0, f"nothing to {command.replace('-', ' ')}")
    assert eolab("log", "ships@draft", "--json").document[0]["commit"]["id"] == head


def test_what_was_taken_back_already_is_nothing_to_take_back(parted, eolab):
    bad = eolab("log", "ships@ben", "--json").document[0]["commit"]["id"]
    assert eolab("revert", "ships", bad, "--on", "ben").status == 0

    assert eolab("revert", "ships", bad, "--on", "ben").out.strip() == "nothing to revert"


def test_conflicts_in_json_are_values_and_no_text_of_json(waiting, eolab, tmp_path):
    assert eolab("conflicts", "ships", "-o", tmp_path / "conflicts.json").status == 0
    refused = eolab("merge", "ships", "anna/fix", "--into", "ben", "--json").document["error"]

    for (row,) in (
        eolab("conflicts", "ships", "--json").document["conflicts"],
        json.loads((tmp_path / "conflicts.json").read_text()),
        refused["conflicts"],
    ):
        assert row["row"] == ["boat_17_a"]
        assert [row[side]["category"] for side in ("base", "ours", "theirs")] == [
            "boat", "ship", "Boat",
        ]  # fmt: skip
    done = eolab("resolve", "ships", "--set", "category='boat'", "--json").document
    assert done["decided"][0]["value"] == {"category": "'boat'"}


def test_outlines_in_conflicts_are_told_by_how_they_lie(ships, eolab):
    def drawn(branch, left):
        box = f"POLYGON (({left} 0, {left} 2, {left + 2} 2, {left + 2} 0, {left} 0))"
        geometry = shapely.from_wkt(box).wkb
        found = [{"id": "boat_1_a", "sample": "boat_1", "geometry": geometry, "frame": "pixel"}]
        table = pa.Table.from_pylist(found, schema=ANNOTATIONS.arrow)
        with ships.draft("ships", branch).edit(f"on {branch}") as root:
            edit.upsert(root, ANNOTATIONS, table)

    ships.branch("ships", "base")
    drawn("base", 0)
    for name in ("west", "east"):
        ships.branch("ships", name, at=ships.draft("ships", "base").head)
    drawn("west", 1)
    drawn("east", 2)
    assert eolab("merge", "ships", "west", "--into", "east").status == 4

    shown = " ".join(eolab("conflicts", "ships").out.split())

    assert "polygon, IoU 0.33, moved 1 px" in shown
    assert "polygon, IoU 0.00, moved 2 px" in shown
    assert "POLYGON" not in shown


@pytest.mark.parametrize("option", ["--page", "-o"])
def test_no_folder_is_made_for_a_file(waiting, eolab, tmp_path, option):
    done = eolab("conflicts", "ships", option, tmp_path / "nofolder" / "x.json")

    assert done.status == 2
    assert not (tmp_path / "nofolder").exists()
