"""`eolab card`: printing a card, and changing it by key, from a file and in an editor."""

import pytest

from registry.catalog import Spec, connect


@pytest.fixture
def ships(tmp_path, monkeypatch, eolab):
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    monkeypatch.delenv("VISUAL", raising=False)
    eolab("init")
    connect().create(Spec(name="ships", licence="MIT", body="Boats.\n"))


@pytest.fixture
def editor(tmp_path, monkeypatch):
    def use(script):
        program = tmp_path / "editor"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("EDITOR", str(program))
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    return use


def test_a_card_is_printed_as_it_is_written_or_parsed(ships, eolab):
    assert eolab("card", "ships").out.endswith("---\nBoats.\n")
    said = eolab("card", "ships@main", "--json").document
    assert (said["name"], said["licence"], said["body"]) == ("ships", "MIT", "Boats.\n")
    assert eolab("card", "boats").status == eolab("card", "ships@v1").status == 3


def test_keys_are_set_in_the_draft_and_the_change_is_shown(ships, eolab):
    said = eolab("card", "ships", "--set", "classes=[Boat, Ferry]", "-m", "two classes")
    assert "card: classes: nothing → ['Boat', 'Ferry']" in said.out
    assert "classes: [Boat, Ferry]" in eolab("card", "ships").out
    assert "classes" not in eolab("card", "ships@main").out
    again = eolab("card", "ships", "--set", "classes=[Boat, Ferry]", "--json").document
    assert (again["commit"], again["changes"]) == (None, [])


def test_a_check_that_is_not_there_is_refused_when_it_is_asked_for(ships, eolab):
    said = eolab("card", "ships", "--set", "before.merge=[duplicates]")
    assert (said.status, "'duplicates', which is not here" in said.err) == (2, True)
    assert eolab("card", "ships", "--set", "before.merge=[exact-duplicates]").status == 0


def test_a_card_comes_from_a_file(ships, eolab, tmp_path):
    file = tmp_path / "README.md"
    file.write_text(eolab("card", "ships").out + "And ships.\n")
    assert "prose changed" in eolab("card", "ships", "--from", file).out
    assert eolab("card", "ships").out == file.read_text()
    file.write_bytes(b"\xff")
    assert "not UTF-8" in eolab("card", "ships", "--from", file).err
    assert eolab("card", "ships", "--from", tmp_path / "none").status == 3


def test_a_card_is_changed_in_an_editor(ships, eolab, editor, tmp_path):
    editor("sed -i s/MIT/CC0-1.0/ $1")
    assert "card: license: MIT → CC0-1.0" in eolab("card", "ships", "--edit").out
    editor("exit 3")
    assert eolab("card", "ships", "--edit").status == 7
    assert not list(tmp_path.glob("eolab-*"))


def test_what_was_written_in_an_editor_is_kept_if_it_is_refused(ships, eolab, editor, tmp_path):
    editor("echo '---\ntask: fly\n---' > $1")
    said = eolab("card", "ships", "--edit")
    [kept] = tmp_path.glob("eolab-*")
    assert said.status == 2
    assert str(kept) in said.err


@pytest.mark.parametrize(
    "arguments", [("--set", "a=1", "--edit"), ("-m", "why"), ("--set", "licence")]
)
def test_a_change_that_is_none_is_refused(ships, eolab, arguments):
    assert eolab("card", "ships", *arguments).status == 2


def test_what_is_published_or_protected_keeps_its_card(ships, eolab, editor):
    editor("touch $1")
    for ref in ("ships@v1", "ships@main"):
        assert eolab("card", ref, "--set", "licence=MIT").status == 6
        assert eolab("card", ref, "--edit").status == 6
