"""Templates filled in and written as files that are whole or not there."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2

__all__ = ["filled", "written"]

_TEMPLATES: Final = Path(__file__).parent / "templates"


def filled(template: str, said: Mapping[str, Any]) -> str:
    """Return a page: a template with what is said in it, every value escaped.

    Args:
        template: A file of the folder ``templates``.
        said: Values by the names that the template knows them by; each must be there.
    """
    return _environment().get_template(template).render(said)


def written(out: Path, text: str) -> None:
    """Write a page; its folder is made, a file that is there replaced when the new one is whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.part")
    partial.write_text(text, encoding="utf-8", errors="replace")
    partial.replace(out)


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["thousands"] = lambda number: f"{number:,}".replace(
        ",", "\N{NARROW NO-BREAK SPACE}"
    )
    return made
