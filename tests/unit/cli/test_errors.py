"""What goes wrong is one error with one hint, one document, and the status of its branch."""

import errno
import os

import pytest

from registry.cli import app
from registry.errors import RegistryError

MISTAKES = [
    (["show", "nothing"], 3, "not-found"),
    (["show", "scenes@v9"], 3, "not-found"),
    (["show", "Not A Name"], 2, "invalid-input"),
    (["edit", "scenes@v1", "--set", "label=['x']", "--where", "true"], 6, "forbidden"),
    (["edit", "scenes@fix", "--set", "label", "--where", "true"], 2, "invalid-input"),
    (["branch", "scenes", "fix"], 4, "conflict"),
    (["branch", "scenes", "main", "--delete"], 6, "forbidden"),
    (["sql", "copy (select 1) to 'x'"], 2, "invalid-input"),
    (["sql", "select 1", "--format", "xml"], 2, "invalid-input"),
    (["sql"], 2, "invalid-input"),
    (["gc", "--grace", "soon"], 2, "invalid-input"),
    (["publish", "scenes", "-m", "x", "--allow", "licence"], 2, "invalid-input"),
    (["check", "scenes", "--allow", "nothing=why"], 2, "invalid-input"),
    (["withdraw", "scenes@fix", "--reason", "x"], 2, "invalid-input"),
    (["ingest", "nowhere", "--into", "scenes"], 3, "not-found"),
    (["ingest", "nowhere", "--into", "scenes", "--on-error", "wait"], 2, "invalid-input"),
    (["merge", "scenes", "nothing"], 3, "not-found"),
    (["undo", "scenes", "--branch", "main"], 6, "forbidden"),
    (["cite", "scenes", "--format", "apa"], 2, "invalid-input"),
    (["fsck", "nothing"], 3, "not-found"),
    (["nothing"], 2, "invalid-input"),
    (["show"], 2, "invalid-input"),
    (["show", "scenes", "--nothing"], 2, "invalid-input"),
    (["log", "scenes", "-n", "many"], 2, "invalid-input"),
]


@pytest.mark.parametrize(("arguments", "status", "code"), MISTAKES, ids=lambda v: str(v)[:40])
def test_a_mistake_is_one_error_and_one_hint(eolab, scenes, arguments, status, code):
    said = eolab(*arguments)
    assert said.status == status
    assert said.out == ""
    error, hint = said.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("  hint: ")

    told = eolab(*arguments, "--json")
    assert told.status == status
    assert told.err == ""
    assert told.document["error"]["code"] == code
    assert told.document["error"]["problem"] == error.removeprefix("error: ")


def test_an_unknown_choice_lists_the_choices(eolab, scenes):
    assert "'bibtex', 'datacite', 'cff'" in eolab("cite", "scenes", "--format", "apa").err


def test_a_mistyped_command_is_guessed(eolab):
    assert "'check'" in eolab("chekc").err


def test_no_lake_says_how_to_make_one(eolab, tmp_path):
    said = eolab("--lake", tmp_path / "none", "list")
    assert (said.status, said.err.splitlines()[1]) == (3, "  hint: make one: eolab init")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "unavailable"),
        (errno.EROFS, "forbidden"),
        (errno.EACCES, "forbidden"),
        (errno.ENOENT, "not-found"),
        (errno.EIO, "unavailable"),
    ],
)
def test_what_the_system_refuses_is_an_error_like_any_other(
    eolab, scenes, monkeypatch, tmp_path, number, code
):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "page.html")

    monkeypatch.setattr("registry.web.page.render", refuse)
    said = eolab("page", "scenes", "-o", tmp_path / "page.html", "--json")
    assert said.document["error"]["code"] == code
    assert "page.html" in said.document["error"]["problem"]


@pytest.mark.parametrize("kind", RegistryError.__subclasses__(), ids=lambda kind: kind.code)
def test_the_exit_status_is_that_of_the_branch(eolab, monkeypatch, kind):
    def fails(*_, **__):
        raise kind("a\nb", hint="c")

    monkeypatch.setattr(app, "app", fails)
    said = eolab("list")
    assert said.status == kind.exit_status
    assert said.err == "error: a b\n  hint: c\n"


def test_a_command_that_is_stopped_says_so_in_status_130(eolab, scenes, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("registry.catalog.Registry.names", stopped)
    assert eolab("list").status == 130
