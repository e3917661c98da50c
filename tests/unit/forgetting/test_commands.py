"""The commands purge, compact, show and pull, as somebody types them."""

import json
import shutil

import pytest

from registry.cli.app import run


@pytest.fixture
def eolab(world, capfdbinary, monkeypatch):
    """Run a command on the dataset's lake; gives status, output and what went to the error."""
    monkeypatch.setenv("EOLAB_LAKE", str(world.folder / "lake"))

    def command(*arguments):
        capfdbinary.readouterr()
        status = run(list(arguments))
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return command


def test_nothing_is_forgotten_unasked(eolab, world, canary):
    status, _, err = eolab("purge", "ships", "--sample", canary, "--reason", "asked")
    assert status == 2
    assert "--dry-run" in err
    assert canary in world.registry.resolve("ships@v2").table("samples")["id"].to_pylist()


def test_a_reason_is_asked_for(eolab, canary):
    status, _, err = eolab("purge", "ships", "--sample", canary, "--yes")
    assert status == 2
    assert "--reason" in err


def test_a_dry_run_says_what_would_go(eolab, canary):
    status, out, _ = eolab("purge", "ships", "--where", f"id = '{canary}'", "--dry-run", "--json")
    assert status == 0
    said = json.loads(out)
    assert said["dry_run"] is True
    assert said["rows"]["samples"] >= 1
    assert "tag/v2" in said["refs"]
    assert "tag/v1" not in said["refs"]


def test_a_purge_is_said_and_shown(eolab, world, canary):
    old = world.registry.resolve("ships@v2")
    content_id = old.content_id
    status, out, _ = eolab("purge", "ships", "--sample", canary, "--reason", "asked", "--yes")
    assert status == 0
    assert "for good" in out
    status, out, _ = eolab("show", "ships@v2")
    assert "for: asked" in out
    assert content_id in out
    status, out, _ = eolab("show", f"ships@{old.commit.id}", "--json")
    shown = json.loads(out)
    assert shown["stands_in_for"] == old.commit.id
    assert shown["purged"][0]["content_id_before"] == content_id
    status, out, _ = eolab("show", "ships@v1", "--json")
    assert json.loads(out)["purged"] == []


def test_a_purge_that_finds_nothing_changes_nothing(eolab):
    status, out, _ = eolab("purge", "ships", "--sample", "nobody", "--reason", "asked", "--yes")
    assert status == 0
    assert "nothing changed" in out


def test_a_condition_that_fits_no_column_is_refused(eolab):
    status, _, err = eolab("purge", "ships", "--where", "colour = 'red'", "--dry-run")
    assert status == 2
    assert "colour" in err


def test_compact_says_who_is_in_the_way(eolab):
    status, _, err = eolab("compact", "ships")
    assert status == 6
    assert "anna/fix" in err


def test_compact_says_what_it_dropped(eolab):
    eolab("branch", "ships", "--delete", "anna/fix")
    status, out, _ = eolab("compact", "ships")
    assert status == 0
    assert "dropped 1 row of pixels" in out


def test_the_branch_of_records_is_nobodys(eolab, canary):
    eolab("purge", "ships", "--sample", canary, "--reason", "asked", "--yes")
    status, out, _ = eolab("branch", "ships", "--json")
    assert "purges" not in json.loads(out)
    status, _, _ = eolab("branch", "ships", "--delete", "purges")
    assert status == 6


# ------------------------------------------------------------------------ between lakes
@pytest.fixture
def copied(world):
    """A lake that was copied before anything was purged; its folder."""
    shutil.copytree(world.folder / "lake", world.folder / "other")
    return world.folder / "other"


@pytest.mark.parametrize("verb", ["push from it", "push to it", "pull from it", "pull aside"])
def test_a_lake_that_still_has_the_rows_is_told_to_pull(eolab, world, copied, canary, verb):
    eolab("purge", "ships", "--sample", canary, "--reason", "asked", "--yes")
    here, there = f"file://{world.folder / 'lake'}", f"file://{copied}"
    status, _, err = {
        "push from it": lambda: eolab("--lake", there, "push", "ships", "--to", here),
        "push to it": lambda: eolab("push", "ships", "--to", there),
        "pull from it": lambda: eolab("pull", "ships", "--from", there),
        "pull aside": lambda: eolab("pull", "ships", "--from", there, "--aside"),
    }[verb]()
    assert status == 4
    assert f"{here} has forgotten rows" in err
    assert f"eolab --lake {there} pull ships --from {here}" in err.replace("\n", " ")
    assert "--aside" not in err
    status, _, err = eolab("--lake", there, "pull", "ships", "--from", here)
    assert status == 0
    assert "purged there, so here too" in err
    assert eolab("--lake", there, "push", "ships", "--to", here)[0] == 0


def test_hints_name_the_lake_that_was_named(eolab, world, monkeypatch):
    empty, nowhere = world.folder / "empty", world.folder / "nowhere"
    eolab("init", str(empty))
    here = world.folder / "lake"
    _, _, err = eolab("--lake", str(empty), "pull", "ships", "--from", str(here))
    assert f"eolab clone {here} ships" in err
    _, _, err = eolab("--lake", str(empty), "push", "ships", "--to", str(here))
    assert "eolab list" in err
    monkeypatch.delenv("EOLAB_LAKE")
    monkeypatch.chdir(world.folder)
    status, _, err = eolab("clone", str(empty), "ships")
    assert status == 3
    assert f"eolab --lake file://{empty} list" in err
    status, _, err = eolab("clone", str(nowhere), "ships")
    assert status == 3
    assert "init" not in err
    assert not (world.folder / ".eolab").exists()
