"""Everything that can be met is documented."""

import pkgutil
import re
from importlib import import_module

import registry
from registry.errors import RegistryError


def every_error(kind=RegistryError):
    for name in kind.__subclasses__():
        yield name
        yield from every_error(name)


def test_every_error_code_has_its_heading(project):
    for module in pkgutil.walk_packages(registry.__path__, "registry."):
        import_module(module.name)
    page = (project / "docs/reference/errors.md").read_text("utf-8")
    headings = set(re.findall(r"^## ([a-z-]+)$", page, re.MULTILINE))

    assert {
        kind.code for kind in every_error() if kind.__module__.startswith("registry")
    } == headings


def test_every_environment_variable_is_documented(project):
    sources = [
        p for room in ("registry", "assets", "spark_jobs") for p in (project / room).rglob("*.py")
    ]
    used = {v for p in sources for v in re.findall(r"\"(EOLAB_[A-Z_]+)\"", p.read_text("utf-8"))}
    page = (project / "docs/reference/environment.md").read_text("utf-8")

    assert used == set(re.findall(r"`(EOLAB_[A-Z_]+)`", page))


def test_every_command_is_in_the_reference(project):
    from typer.main import get_command

    from registry.cli.app import app

    page = (project / "docs/reference/commands.md").read_text("utf-8")
    assert set(re.findall(r"^## eolab ([a-z-]+)$", page, re.MULTILINE)) == set(
        get_command(app).commands
    )


def test_every_page_is_on_the_map(project):
    docs = project / "docs"
    maps = [docs / "index.md", docs / "decisions" / "README.md"]
    linked = {
        (page.parent / link).resolve()
        for page in maps
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    }
    assert {page for page in docs.rglob("*.md") if page.resolve() not in linked} == {maps[0]}
