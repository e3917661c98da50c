"""Commands run in this process, and a lake with two versions that they share."""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from registry.catalog import connect
from registry.cli.app import run


@dataclass(frozen=True)
class Said:
    """What a command said and came to."""

    status: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)


@pytest.fixture
def eolab(capfdbinary, monkeypatch):
    """Run a command in this process, where no terminal watches."""

    def command(*arguments: object) -> Said:
        capfdbinary.readouterr()
        status = run([str(argument) for argument in arguments])
        out, err = capfdbinary.readouterr()
        return Said(status, out.decode(), err.decode())

    return command


@pytest.fixture
def process(monkeypatch):
    """Run the installed command as a user does."""

    def command(*arguments: str, **options) -> subprocess.CompletedProcess:
        program = "import sys; from registry.cli import main; sys.argv[0] = 'eolab'; main()"
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True, text=True, check=False, **options,
        )  # fmt: skip

    return command


@pytest.fixture(scope="session")
def scenes_lake(tmp_path_factory):
    """A lake with `scenes`: v1 and v2 of nine chips, and a branch `fix`; made once by commands."""
    with pytest.MonkeyPatch.context() as patched:
        home = tmp_path_factory.mktemp("cli")
        patched.setenv("EOLAB_LAKE", str(home / "lake"))
        patched.setenv("EOLAB_USER", "anna")
        patched.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
        for line in (
            ["init"],
            ["simulate", "segmentation", str(home / "source"), "--samples", "9", "--seed", "3"],
            ["ingest", str(home / "source"), "--into", "scenes", "--workers", "1",
             "--licence", "CC0-1.0", "--provider", "Lab"],
            ["publish", "scenes", "-m", "first release"],
        ):  # fmt: skip
            assert run(line) == 0, line
        first = min(connect(None).resolve("scenes").table("samples")["id"].to_pylist())
        chosen = f"id = '{first}'"
        for line in (
            ["branch", "scenes", "fix"],
            ["edit", "scenes@fix", "--set", "label=['forest']", "--where", chosen, "-m", "looked"],
            ["merge", "scenes", "fix"],
            ["publish", "scenes", "-m", "one was looked at"],
        ):
            assert run(line) == 0, line
    return home


@pytest.fixture
def scenes(scenes_lake, monkeypatch):
    """The shared lake, for commands that only read or that own what they write."""
    monkeypatch.setenv("EOLAB_LAKE", str(scenes_lake / "lake"))
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    return connect(None)


@pytest.fixture
def own_lake(tmp_path, monkeypatch):
    """An empty lake of the test's own, in the current folder."""
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("EOLAB_USER", "ben")
    monkeypatch.setenv("EOLAB_AUTHOR", "Ben <ben@example.org>")
    monkeypatch.chdir(tmp_path)
    assert run(["init"]) == 0
    return tmp_path
