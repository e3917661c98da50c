"""Every code block of the documentation runs, top to bottom, in a folder of its own."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lakefs.server import running_server

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = {"text", "json", "yaml", "toml", "ini"}  # what something looks like; nothing to run
MAKE = "console"  # `$ make …`, which the suite runs elsewhere


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text("utf-8"))


def script(page: Path) -> str:
    parts = ["set -euo pipefail"]
    for language, code in blocks(page):
        if language in {"bash", "sh"}:
            parts.append(code)
        elif language == "python":
            parts.append(f"python - <<'END_OF_PYTHON'\n{code}END_OF_PYTHON")
    return "\n".join(parts)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(PROJECT).as_posix())
def test_a_page_has_only_blocks_of_known_languages(page):
    unknown = {language for language, _ in blocks(page)} - SHOWN - {"bash", "sh", "python", "sql"}
    assert unknown <= {MAKE}


RUNNABLE = [p for p in PAGES if {"bash", "sh", "python"} & {lang for lang, _ in blocks(p)}]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda p: p.relative_to(PROJECT).as_posix())
def test_a_page_runs_as_written(page, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name[:6] != "EOLAB_"}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "EOLAB_USER": "reader",
        "EOLAB_AUTHOR": "A Reader <reader@example.org>",
    }
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    with contextlib.ExitStack() as stack:
        if page.name == "lakefs.md":
            environment |= stack.enter_context(running_server()).environment
        ran = subprocess.run(
            ["bash", "-c", script(page)],
            cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"


def test_every_make_target_that_is_named_exists():
    targets = set(
        re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text("utf-8"), re.MULTILINE)
    )
    named = {
        target
        for page in PAGES
        for language, code in blocks(page)
        if language == MAKE
        for target in re.findall(r"\bmake ([a-z]+)", code)
    }
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(PROJECT).as_posix())
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    broken = [
        link
        for link in links
        if not link.startswith(("http", "mailto:")) and not (page.parent / link).exists()
    ]
    assert broken == []
