"""Tables out to other tools, and their edits back by key.

Loads nothing by itself, because the limited process that reads files lives in here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from registry.curate.exchange.brought import Brought, EditedMeanwhileError
    from registry.curate.exchange.exporting import FORMATS, Exported, export
    from registry.curate.exchange.proposing import Proposal, propose

__all__ = [
    "FORMATS",
    "Brought",
    "EditedMeanwhileError",
    "Exported",
    "Proposal",
    "export",
    "propose",
]

_HOMES: Final = {
    "FORMATS": "exporting",
    "Exported": "exporting",
    "export": "exporting",
    "Brought": "brought",
    "EditedMeanwhileError": "brought",
    "Proposal": "proposing",
    "propose": "proposing",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"registry.curate.exchange.{_HOMES[name]}"), name)
