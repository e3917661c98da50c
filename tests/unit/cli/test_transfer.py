"""copy, push, pull and clone as people type them."""

import json

import pytest

from registry.catalog import connect
from registry.cli.completion import complete_addresses


@pytest.fixture
def other(tmp_path, monkeypatch, eolab):
    """Another lake, empty; the shared one is where commands work."""
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    assert eolab("init", tmp_path / "other").status == 0
    return tmp_path / "other"


def test_a_version_is_copied_with_all_before_it_and_only_once(scenes, eolab, other):
    said = eolab("copy", "scenes@v1", "--to", other)
    assert said.status == 0, said.err
    assert "scenes: " in said.out
    assert "v1" in said.out
    there = connect(str(other))
    assert [version.tag for version in there.versions("scenes")] == ["v1"]
    assert there.resolve("scenes@v1").content_id == scenes.resolve("scenes@v1").content_id
    again = eolab("copy", "scenes@v1", "--to", other.as_uri(), "--json")
    assert (again.document["commits"], again.document["objects"]) == (0, 0)
    assert eolab("push", "scenes", "--to", other).status == 0
    assert [version.tag for version in there.versions("scenes")] == ["v1", "v2"]
    assert "everything already" in eolab("push", "scenes", "--to", other).out


def test_a_clone_remembers_where_it_came_from(scenes, eolab, tmp_path, monkeypatch, other):
    home = scenes.lake.folder
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EOLAB_LAKE")
    said = eolab("clone", home, "scenes", "--tables", "samples")
    assert said.status == 0, said.err
    assert "until somebody touches them" in said.out
    assert eolab("sql", 'select count(*) n from "scenes@v2".samples').status == 0
    for verb in ("pull", "push"):
        assert "everything already" in eolab(verb, "scenes").out
    assert eolab("fsck").status == 0
    again = eolab("clone", home, "scenes")
    assert (again.status, "eolab pull" in again.err) == (4, True)


def test_a_slice_is_cloned_with_its_pixels(scenes, eolab, tmp_path, monkeypatch, other):
    assert eolab("copy", "scenes@v1", "--to", other).status == 0
    monkeypatch.setenv("EOLAB_LAKE", str(other))
    cut = eolab("slice", 'select id from "scenes@v1".samples limit 2', "--json").document
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "desk"))
    assert eolab("clone", other, "scenes", "--slice", cut["id"]).status == 0
    assert eolab("clone", other, "scenes", "--slice", "0" * 32).status == 3
    other.rename(tmp_path / "gone")
    rows = eolab("sql", 'select count(chip) n from "scenes@v1".chips')
    assert rows.status == 0, rows.err


@pytest.mark.parametrize(
    ("line", "status", "what"),
    [
        (["copy", "scenes@v1", "--to", "{nowhere}"], 3, "eolab init"),
        (["copy", "scenes@v9", "--to", "{other}"], 3, "v9"),
        (["copy", "scenes@fix", "--to", "{other}", "--json"], 0, "main"),
        (["push", "scenes"], 2, "--to ADDRESS"),
        (["push", "scenes", "--to", "{other}", "--branch", "none"], 3, "none"),
        (["pull", "scenes"], 2, "--from ADDRESS"),
        (["pull", "boats", "--from", "{other}"], 3, "eolab clone"),
        (["clone", "{other}", "boats"], 3, "boats"),
        (["clone", "{other}", "x", "--metadata-only", "--tables", "a"], 2, "exclude"),
        (["copy", "scenes@v1"], 2, "--to"),
    ],
)
def test_what_cannot_be_is_said(scenes, eolab, other, tmp_path, line, status, what):
    words = [word.format(other=other, nowhere=tmp_path / "nowhere") for word in line]
    said = eolab(*words)
    assert said.status == status, said.err
    assert what in said.out + said.err


def test_a_shell_completes_folders(tmp_path, other):
    assert str(other) in complete_addresses(str(tmp_path / "oth"))
    assert complete_addresses(str(tmp_path / "nowhere" / "x")) == []


def test_an_error_is_one_document_too(scenes, eolab):
    said = eolab("push", "scenes", "--json")
    assert json.loads(said.out)["error"]["code"] == "invalid-input"
