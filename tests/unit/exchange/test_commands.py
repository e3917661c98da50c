"""`eolab export` and `eolab edit`, as they are typed."""

import json
import os
import pty
import subprocess
import sys
from dataclasses import dataclass

import orjson
import pytest

from registry.cli.app import run


@dataclass(frozen=True)
class Said:
    """What a command said and came to."""

    status: int
    out: str
    err: str


@pytest.fixture
def eolab(ships, capfdbinary):
    def command(*arguments):
        capfdbinary.readouterr()
        status = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Said(status, out.decode(), err.decode())

    return command


@pytest.fixture
def fixed(eolab, tmp_path):
    """A file of annotations in which one category was edited."""
    path = tmp_path / "fix.geojson"
    said = eolab("export", "ships@fix", "-o", path, "--where", "frame = 'crs'")
    assert said.status == 0
    assert "4 rows of annotations" in said.out
    document = orjson.loads(path.read_bytes())
    document["features"][0]["properties"]["category"] = "Ferry"
    path.write_bytes(orjson.dumps(document))
    return path


def test_a_dry_run_shows_the_rows_and_changes_nothing(eolab, fixed, ships):
    head = ships.resolve("ships@fix").commit.id
    said = eolab("edit", "ships@fix", "--from", fixed, "--dry-run")
    assert said.status == 0
    assert "updated s0-1  category: Boat → Ferry" in said.out
    assert "nothing changed" in said.out
    assert ships.resolve("ships@fix").commit.id == head


def test_a_dry_run_tells_outlines_as_text(eolab, fixed):
    said = eolab("edit", "ships@fix", "--from", fixed, "--dry-run", "--json")

    (row,) = orjson.loads(said.out)["changes"]
    assert row["after"]["geometry"].startswith("POLYGON ")


def test_nobody_there_to_ask_is_no_yes(eolab, fixed, ships):
    head = ships.resolve("ships@fix").commit.id
    said = eolab("edit", "ships@fix", "--from", fixed)
    assert said.status == 2
    assert "--yes" in said.err
    assert ships.resolve("ships@fix").commit.id == head


def test_yes_commits_with_its_why(eolab, fixed, ships):
    said = eolab("edit", "ships@fix", "--from", fixed, "--yes", "-m", "a ferry, as AIS says")
    assert said.status == 0
    assert "committed on ships@fix as" in said.out
    assert ships.resolve("ships@fix").commit.message == "a ferry, as AIS says"
    again = eolab("edit", "ships@fix", "--from", fixed, "-y")
    assert "nothing differs" in again.out


def test_without_a_why_the_history_says_what_was_done(eolab, fixed, ships):
    eolab("edit", "ships@fix", "--from", fixed, "--yes")
    assert ships.resolve("ships@fix").commit.message == (
        "edit annotations from fix.geojson: 1 updated"
    )


def test_machines_get_one_document(eolab, fixed):
    said = eolab("edit", "ships@fix", "--from", fixed, "--yes", "--json")
    document = json.loads(said.out)
    assert (document["updated"], document["inserted"], document["missing"]) == (1, 0, 0)
    assert document["changes"][0]["columns"] == ["category"]
    refused = eolab("edit", "ships@fix", "--from", fixed, "--json")
    assert json.loads(refused.out)["error"]["code"] == "invalid-input"
    sent = eolab("export", "ships@fix", "--table", "samples", "-o", fixed, "--json")
    assert json.loads(sent.out)["rows"] == 4


@pytest.mark.parametrize(("answer", "moved"), [("y", True), ("n", False)])
def test_a_terminal_is_asked(fixed, ships, answer, moved):
    head = ships.resolve("ships@fix").commit.id
    program = "import sys; from registry.cli import main; sys.argv[0] = 'eolab'; main()"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, "edit", "ships@fix", "--from", str(fixed)],
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the terminal's other end is gone
            break
        if not part:
            break
        said += part
    os.close(ours)
    process.wait()
    assert "category: Boat → Ferry" in said.decode()
    assert (ships.resolve("ships@fix").commit.id != head) is moved


def test_an_edit_by_sql_works_as_ever(eolab, ships):
    said = eolab("edit", "ships@fix", "--set", "label=['quay']", "--where", "id = 's1'")
    assert said.status == 0
    assert "1 row of samples changed on ships@fix" in said.out
    said = eolab("edit", "ships@fix", "--table", "annotations", "--where", "true", "--delete")
    assert "of annotations deleted on ships@fix" in said.out


def test_where_nothing_can_be_written_no_folder_is_said_to_be_missing(eolab, ships, tmp_path):
    said = eolab("export", "ships@fix", "--table", "samples", "-o", "/proc/x.csv")
    assert "/proc/x.csv cannot be written" in said.err
    said = eolab("export", "ships@fix", "--table", "samples", "-o", tmp_path / "none" / "x.csv")
    assert (said.status, "there is no folder" in said.err) == (3, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--yes"], ["--dry-run"], ["--delete-missing"], ["--base", "v1"],
        ["--from", "x.gpkg", "--where", "true"], ["--from", "x.gpkg", "--delete"],
        ["--from", "x.gpkg", "--set", "label=null"],
    ],
)  # fmt: skip
def test_options_that_do_not_go_together(eolab, arguments):
    assert eolab("edit", "ships@fix", *arguments).status == 2


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["-o", "out.xyz"], 2), (["-o", "out.gpkg"], 2),
        (["-o", "no/such/folder/out.csv", "--table", "samples"], 3),
        (["-o", "out.gpkg", "--table", "pixels"], 2), (["-o", "out.csv", "--table", "none"], 3),
        (["-o", "out.json", "--table", "samples", "--format", "coco"], 2),
        (["-o", "out.csv", "--samples", "nobody"], 3), (
            ["-o", "out.csv", "--samples", "0" * 32], 3,
        ),
        (["-o", "out.csv", "--where", "nothing = 1"], 2),
    ],
)  # fmt: skip
def test_an_export_that_cannot_be(eolab, tmp_path, monkeypatch, arguments, status):
    monkeypatch.chdir(tmp_path)
    said = eolab("export", "ships@fix", *arguments)
    assert said.status == status, said
    assert "hint" in said.err
    assert not (tmp_path / "out.gpkg").exists()


def test_deleting_what_is_missing_is_said_first(eolab, fixed, ships):
    document = orjson.loads(fixed.read_bytes())
    del document["features"][2:]
    fixed.write_bytes(orjson.dumps(document))
    said = eolab("edit", "ships@fix", "--from", fixed, "--dry-run")
    assert "2 rows are not in the file" in said.out
    said = eolab("edit", "ships@fix", "--from", fixed, "--delete-missing", "--yes")
    assert "2 deleted" in said.out
    assert ships.resolve("ships@fix").count("annotations") == 3
