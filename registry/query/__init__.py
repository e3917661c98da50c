"""Questions over refs in SQL, answered as Arrow; slices that can be cited.

Names are loaded when they are first used: the process that a query runs in needs few of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.query.attaching import attach, connection
    from registry.query.execution import run, sql
    from registry.query.limits import Limits
    from registry.query.outputs import FORMATS, write
    from registry.query.slices import Slice, find_slice, slice, version_of_slice  # noqa: A004 — the verb that library, command line and web share

__all__ = [
    "FORMATS",
    "Limits",
    "Slice",
    "attach",
    "connection",
    "find_slice",
    "run",
    "slice",
    "sql",
    "version_of_slice",
    "write",
]

_HOMES = {
    "FORMATS": "outputs",
    "Limits": "limits",
    "Slice": "slices",
    "attach": "attaching",
    "connection": "attaching",
    "find_slice": "slices",
    "run": "execution",
    "slice": "slices",
    "sql": "execution",
    "version_of_slice": "slices",
    "write": "outputs",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name not in _HOMES:
        raise AttributeError(f"module 'registry.query' has no attribute {name!r}")
    return getattr(import_module(f"registry.query.{_HOMES[name]}"), name)
