"""A second opinion: plain git with git-lfs clones a dataset from its folder."""

import os
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is missing")


@pytest.fixture
def git(tmp_path):
    """Run git as somebody who has just installed git-lfs."""
    person = tmp_path / "person"
    person.mkdir()
    environment = {
        **os.environ, "HOME": str(person), "XDG_CONFIG_HOME": str(person / "config"),
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(person / ".gitconfig"),
    }  # fmt: skip
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        environment.pop(name, None)

    def run(*arguments, cwd=tmp_path):
        ran = subprocess.run(
            ["git", *arguments],
            cwd=cwd, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    run("lfs", "install")
    return run


def content(repository, at):
    return {entry.path: repository.read(entry.path, at=at) for entry in repository.entries(at)}


def files(folder):
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and ".git" not in file.relative_to(folder).parts
    }


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_plain_git_clones_a_dataset_with_its_history(ships, put, git, tmp_path, scheme):
    ships.create_branch("more", at="main")
    put(ships, {"ü/日本.bin": b"\x00\r\n" * 99, "empty": b"", "pointer": b"version 1\n"}, "more")
    put(ships, {f"many/{one}": b"%d" % one for one in range(40)}, "more")
    ships.advance("main", to="more", expected=ships.resolve("main"))
    home = tmp_path / "home" / "repositories" / "ships"
    attributes = f"core.attributesFile={home}/info/attributes"
    git("clone", "-q", "-c", attributes, f"{scheme}{home}", "clone")
    clone = tmp_path / "clone"
    assert files(clone) == content(ships, "main")
    assert git("status", "--short", cwd=clone) == ""
    assert "OK" in git("lfs", "fsck", cwd=clone)
    git("fsck", "--strict", cwd=clone)
    history = git("log", "--format=%H", cwd=clone).split()
    assert sorted(history) == sorted(commit.id for commit in ships.log("main"))
    for tag in ships.tags():
        git("checkout", "-q", tag, cwd=clone)
        assert files(clone) == content(ships, tag)
        assert git("status", "--short", cwd=clone) == ""
    assert list(ships.fsck()) == []


def test_a_clone_without_the_attributes_is_filled_by_git_lfs_pull(ships, git, tmp_path):
    home = tmp_path / "home" / "repositories" / "ships"
    git("clone", "-q", str(home), "clone")
    clone = tmp_path / "clone"
    assert files(clone)["b"].startswith(b"version https://git-lfs")
    git("lfs", "pull", cwd=clone)
    assert files(clone) == content(ships, "main")
