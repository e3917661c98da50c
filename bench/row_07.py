"""Row 7: ten thousand chips to a checked version, and ten thousand plain files to a commit.

Each contestant is one or two commands, timed from the start of their processes to the end of the
last, on a folder that is in place already. Peers are tuned as their own pages advise:

- DVC: ``cache.type = reflink,hardlink,symlink,copy`` (User Guide, Large Dataset Optimization),
  ``core.analytics = false`` and ``core.check_update = false`` (Command Reference, config), no
  remote; the commit of the ``.dvc`` file counts, as it does in its own tutorial.
- Git: ``gc.auto = 0``, ``core.compression = 0`` for files that are random bytes.
- Oxen: its Python package's ``Repo.add`` and ``Repo.commit``.

Neither DVC nor Oxen nor Git opens an image; the lab reads every pixel, checks and indexes them.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bench.ground import chips_folder, command, emptied, plain_files, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare, named

_FILES: Final = 10_000
_QUIET: Final = {
    "DVC_NO_ANALYTICS": "true",
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
}
_DVC: Final = (
    ("cache.type", "reflink,hardlink,symlink,copy"),
    ("core.analytics", "false"),
    ("core.check_update", "false"),
)
_GIT: Final = (("gc.auto", "0"), ("core.compression", "0"))
_OXEN: Final = """
import sys
from oxen import Repo
repo = Repo(sys.argv[1])
repo.add(sys.argv[2])
repo.commit("first")
"""
_OXEN_INIT: Final = """
import sys
from oxen import Repo, user
user.config_user("bench", "bench@example.org")
Repo(sys.argv[1]).init()
"""
_OURS: Final = """
import sys
from pathlib import Path
from registry.lake import connect
lake, folder = sys.argv[1], Path(sys.argv[2])
repository = connect(lake).create("plain")
repository.create_branch("draft/bench", at="main")
files = {str(path.relative_to(folder)): path for path in folder.rglob("*.bin")}
with repository.transaction("draft/bench", message="first") as transaction:
    transaction.put_files(files)
"""


def run() -> tuple[list[Comparison], list[Figure]]:
    count = scaled(_FILES, least=20)
    with workplace() as place:
        chips, plain = chips_folder(place, count), plain_files(place, count)
        size = sum(path.stat().st_size for path in chips.rglob("*.tif"))
        work = emptied(place / "versions")
        lake = work / "lake"
        ours = Contestant(
            name="ours", work=partial(_publish, lake, chips), ready=partial(_lake, lake)
        )
        compared = compare(
            f"7 · {count:,} GeoTIFF chips to a checked version",
            ours,
            [_dvc_with(work, chips, target=1), _oxen_with(work, chips, target=2)],
        )
        one = partial(command, "python", "-c", _OURS, lake, plain)
        compared += compare(
            f"7 · {count:,} plain files of 16 KiB to a commit",
            Contestant(name="ours", work=one, ready=partial(_lake, lake)),
            [
                _dvc_with(work, plain, target=2),
                _oxen_with(work, plain, target=3),
                _git_with(work, plain),
            ],
        )
        shutil.rmtree(work)
    return compared, [Figure(row=f"7 · bytes of {count:,} chips", value=size / 1e6, unit="MB")]


def _dvc_with(work: Path, files: Path, *, target: float) -> Contestant:
    ready = partial(_repository, work / "dvc", files, _dvc_init)
    return _contestant("dvc", _dvc, ready, target)


def _oxen_with(work: Path, files: Path, *, target: float) -> Contestant:
    ready = partial(_repository, work / "oxen", files, _oxen_init)
    return _contestant("oxenai", _oxen, ready, target)


def _git_with(work: Path, files: Path) -> Contestant:
    name = " ".join(command("git", "--version").split()[::2])
    return _contestant(name, _git, partial(_repository, work / "git", files, _git_init), 1)


def _contestant(
    name: str, work: Callable[[Path], object], ready: Callable[[], Path], target: float
) -> Contestant:
    where: list[Path] = []

    def prepare() -> None:
        where[:] = [ready()]
        os.sync()  # what laying the folder out left to be written is not the contestant's

    return Contestant(name=named(name), work=lambda: work(where[0]), ready=prepare, target=target)


# ---------------------------------------------------------------------- ours
def _lake(folder: Path) -> None:
    from registry.lake import init

    init(str(emptied(folder)))
    os.sync()


def _publish(lake: Path, chips: Path) -> None:
    env = {"EOLAB_LAKE": str(lake), "EOLAB_USER": "bench"}
    command(
        "eolab", "ingest", chips, "--into", "chips", "--task", "classification",
        "--licence", "CC0-1.0", "--provider", "simulator", env=env,
    )  # fmt: skip
    command("eolab", "publish", "chips", "-m", "first", env=env)


# --------------------------------------------------------------------- peers
def _repository(folder: Path, files: Path, init: Callable[[Path], None]) -> Path:
    """Lay the files into a new, empty repository."""
    emptied(folder)
    init(folder)
    shutil.copytree(files, folder / "data")
    return folder


def _git_init(folder: Path) -> None:
    command("git", "init", "--quiet", cwd=folder)
    for key, value in _GIT:
        command("git", "config", key, value, cwd=folder)


def _git(folder: Path) -> None:
    command("git", "add", "data", cwd=folder, env=_QUIET)
    command("git", "commit", "--quiet", "-m", "first", cwd=folder, env=_QUIET)


def _dvc_init(folder: Path) -> None:
    _git_init(folder)
    command("dvc", "init", "--quiet", cwd=folder, env=_QUIET)
    for key, value in _DVC:
        command("dvc", "config", key, value, cwd=folder, env=_QUIET)
    command("git", "commit", "--quiet", "-m", "init", cwd=folder, env=_QUIET)


def _dvc(folder: Path) -> None:
    command("dvc", "add", "--quiet", "data", cwd=folder, env=_QUIET)
    command("git", "add", "data.dvc", ".gitignore", cwd=folder, env=_QUIET)
    command("git", "commit", "--quiet", "-m", "first", cwd=folder, env=_QUIET)


def _oxen_init(folder: Path) -> None:
    command("python", "-c", _OXEN_INIT, folder, env=_home(folder))


def _oxen(folder: Path) -> None:
    command("python", "-c", _OXEN, folder, "data", cwd=folder, env=_home(folder))


def _home(folder: Path) -> dict[str, str]:
    """Keep Oxen's settings out of the user's home."""
    return {"HOME": str(folder.parent / "home")}
