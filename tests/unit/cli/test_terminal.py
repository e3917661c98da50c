"""The command beside a shell: pipes, terminals, completion, and how little `--help` loads."""

import os
import pty
import select
import subprocess
import sys
import time
from typing import get_args

import pytest
from typer.main import get_command

from registry.catalog.card.spec import Task
from registry.catalog.cite import STYLES
from registry.cli import watch
from registry.cli.app import app
from registry.cli.commands import datasets, queries, samples
from registry.curate.ingest.simulator import TASKS
from registry.query.outputs import FORMATS

PROGRAM = "import sys; from registry.cli import main; sys.argv[0] = 'eolab'; main()"


@pytest.mark.parametrize(
    ("offered", "known"),
    [
        (datasets.CitationStyle, STYLES),
        (queries.ResultFormat, FORMATS),
        (samples.SimulatedTask, TASKS),
        (samples.SpecTask, [task.value for task in Task]),
    ],
)
def test_what_is_offered_is_what_the_library_knows(offered, known):
    assert set(get_args(offered)) == set(known)


def test_a_reader_that_has_seen_enough_is_no_failure(scenes):
    query = 'from "scenes@v2".samples a, "scenes@v2".samples b, "scenes@v2".samples c'
    writer = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "sql", query, "--format", "csv"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    writer.stdout.readline()
    writer.stdout.close()
    complaint = writer.stderr.read()
    writer.stderr.close()

    assert (writer.wait(), complaint) == (0, b"")


def test_help_loads_nothing_heavy():
    heavy = ["pyarrow", "numpy", "duckdb", "pygit2", "deltalake", "rasterio", "shapely", "rich",
             "yaml", "dagster", "PIL"]  # fmt: skip
    code = (
        "import sys\nfrom registry.cli.app import run\nrun(['--help'])\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"


def leaves(group, name=""):
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{name}{word} ")
        else:
            yield f"{name}{word}", command


def test_every_option_and_argument_has_its_help():
    silent = [
        f"{name} {parameter.name}"
        for name, command in leaves(get_command(app))
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_every_command_takes_json():
    without = [
        name
        for name, command in leaves(get_command(app))
        if not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert without == []


def completed(words: str, shell: str = "bash") -> set[str]:
    environment = os.environ | {
        "_EOLAB_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": words,
    }
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return set(said.stdout.split())


def test_shells_complete_commands_choices_datasets_and_refs(scenes):
    assert completed("eolab chec") == {"check", "checkout"}
    assert completed("eolab show sce") == {"scenes"}
    assert completed("eolab publish s") == {"scenes"}
    assert {"scenes@v1", "scenes@v2"} <= completed("eolab show scenes@v")
    assert completed("eolab cite scenes --format d") == {"datacite"}


def test_completion_is_silent_where_there_is_no_lake(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "none"))
    assert completed("eolab show s") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_scripts_are_printed(shell):
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--show-completion", shell],
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "_EOLAB_COMPLETE" in said.stdout


BAR = """
from registry.cli import watch
watch._PATIENCE_SECONDS = {patience}
with watch.watching() as progress:
    progress.stage("reading", total=3, unit="chips")
    for _ in range(3):
        progress.advance()
print("done")
"""


def on_a_terminal(code: str) -> str:
    """Run code with standard error on a pseudo-terminal and return what it drew there."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE,
                             env=os.environ | {"TERM": "xterm"})  # fmt: skip
    os.close(theirs)
    drawn = b""
    ready = select.poll()  # unlike select, it takes files of any number
    ready.register(ours, select.POLLIN)
    end = time.monotonic() + 60
    while time.monotonic() < end and ready.poll(60_000):
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        drawn += part
    os.close(ours)
    out, _ = child.communicate()
    assert out == b"done\n"
    return drawn.decode()


def test_a_bar_is_drawn_on_a_terminal_once_patience_is_over():
    drawn = on_a_terminal(BAR.format(patience=0))
    assert "reading" in drawn
    assert "3/3" in drawn


def test_no_bar_is_drawn_for_what_is_quick():
    assert on_a_terminal(BAR.format(patience=60)) == ""
    assert watch._PATIENCE_SECONDS == 2


def test_no_bar_is_drawn_into_a_pipe():
    said = subprocess.run(
        [sys.executable, "-c", BAR.format(patience=0)], capture_output=True, text=True, check=True
    )
    assert (said.stdout, said.stderr) == ("done\n", "")


def test_a_list_loads_neither_frames_nor_rasters_nor_an_engine(scenes):
    heavy = ["pandas", "duckdb", "deltalake", "rasterio", "shapely", "pyproj", "dagster"]
    code = (
        "import sys\nfrom registry.cli.app import run\nrun(['list', '--json'])\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "[]"
