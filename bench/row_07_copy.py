"""Row 7: copying a dataset of ten thousand objects to another lake on the same machine.

Each contestant brings 10,000 random files of 100 kB, which it holds already, to a second place
that it could go on from, and ends when they are on disk. The measure of the disk is ``cp -r`` of
the same stored files followed by ``sync -f``; the lab is meant to reach 60 % of it, hashing every
byte on the way. Peers are tuned as in row 7:

- Git LFS: ``git push`` to a bare repository by ``file://``; its own transfer adapter for folders.
- DVC: ``dvc push`` to a remote that is a folder.

Neither of the two reads back or hashes what it wrote. No contestant may share blocks with what it
copies unless the file system does that by itself.
"""

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Final

from bench.ground import command, emptied, plain_files, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare, named

_FILES: Final = 10_000
_SIZE: Final = 100_000
_SHARE_OF_DISK: Final = 0.6
_QUIET: Final = {
    "DVC_NO_ANALYTICS": "true",
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
}
_FILL: Final = """
import sys
from pathlib import Path
from registry.lake import init
folder = Path(sys.argv[2])
repository = init(sys.argv[1]).create("plain")
with repository.transaction("main", message="first") as transaction:
    transaction.put_files({str(p.relative_to(folder)): p for p in folder.rglob("*.bin")})
"""


def run() -> tuple[list[Comparison], list[Figure]]:
    count = scaled(_FILES, least=20)
    with workplace() as place:
        files = plain_files(place, count, size=_SIZE)
        work = emptied(place / "copies")
        lake = work / "lake"
        command("python", "-c", _FILL, lake, files)
        stored = lake / "repositories" / "plain" / "lfs" / "objects"
        ours = Contestant(
            name="ours",
            work=partial(command, "eolab", "copy", "plain@main", "--to", work / "other", env={
                "EOLAB_LAKE": str(lake), "EOLAB_CACHE": str(work / "cache"),
            }),
            ready=partial(_lake, work / "other"),
        )  # fmt: skip
        peers = [_plain_copy(stored, work / "cp")]
        if shutil.which("git-lfs"):
            peers.append(_git_lfs(files, work / "lfs"))
        peers.append(_dvc(files, work / "dvc"))
        compared = compare(f"copy · {count:,} objects of 100 kB to another lake", ours, peers)
        shutil.rmtree(work)
    return compared, [Figure(row="copy · bytes", value=count * _SIZE / 1e6, unit="MB")]


def _lake(folder: Path) -> None:
    from registry.lake import init

    init(str(emptied(folder)))
    os.sync()  # what was left to be written is not the next one's


def _plain_copy(stored: Path, target: Path) -> Contestant:
    def work() -> None:
        command("cp", "-r", stored, target)
        command("sync", "-f", target)

    return Contestant(
        name="cp -r, sync -f", work=work, ready=partial(_gone, target), target=_SHARE_OF_DISK
    )


def _gone(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()


def _git_lfs(files: Path, home: Path) -> Contestant:
    source, target = home / "source", home / "target.git"
    _git_repository(source, files)
    command("git", "lfs", "install", "--local", cwd=source)
    command("git", "lfs", "track", "*.bin", cwd=source)
    command("git", "add", ".", cwd=source, env=_QUIET)
    command("git", "commit", "--quiet", "-m", "first", cwd=source, env=_QUIET)

    def ready() -> None:
        emptied(target)
        command("git", "init", "--quiet", "--bare", target)
        os.sync()

    def work() -> None:
        command("git", "push", "--quiet", f"file://{target}", "HEAD:refs/heads/main", cwd=source)
        command("sync", "-f", target)

    version = command("git", "lfs", "version").split(" ")[0].replace("/", " ")
    return Contestant(name=version, work=work, ready=ready)


def _dvc(files: Path, home: Path) -> Contestant:
    source, target = home / "source", home / "remote"
    _git_repository(source, files)
    for words in (
        ("init", "--quiet"),
        ("config", "cache.type", "reflink,hardlink,symlink,copy"),
        ("remote", "add", "--quiet", "-d", "there", str(target)),
        ("add", "--quiet", "data"),
    ):
        command("dvc", *words, cwd=source, env=_QUIET)

    def ready() -> None:
        emptied(target)
        # what DVC remembers of an earlier push to that place is no part of the work
        shutil.rmtree(source / ".dvc" / "tmp", ignore_errors=True)
        os.sync()

    def work() -> None:
        command("dvc", "push", "--quiet", cwd=source, env=_QUIET)
        command("sync", "-f", target)

    return Contestant(name=named("dvc"), work=work, ready=ready)


def _git_repository(folder: Path, files: Path) -> None:
    emptied(folder)
    command("git", "init", "--quiet", folder)
    command("git", "config", "gc.auto", "0", cwd=folder)
    shutil.copytree(files, folder / "data")
