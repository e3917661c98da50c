"""Whom and what a dataset speaks for: measures of bias against a named reference, and what to do.

:func:`audit` measures, :func:`suggest` says where to collect next. Both work on small tables of
counts, which the library and Spark make alike (:mod:`registry.curate.bias.counting`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.curate.bias.auditing import audit
    from registry.curate.bias.population import Population
    from registry.curate.bias.report import BiasReport, Reference
    from registry.curate.bias.sampling import Plan, suggest

__all__ = ["BiasReport", "Plan", "Population", "Reference", "audit", "suggest"]

_HOMES = {
    "BiasReport": "report",
    "Plan": "sampling",
    "Population": "population",
    "Reference": "report",
    "audit": "auditing",
    "suggest": "sampling",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 — any value, checked by its kind
    if name not in _HOMES:
        raise AttributeError(f"module 'registry.curate.bias' has no attribute {name!r}")
    return getattr(import_module(f"registry.curate.bias.{_HOMES[name]}"), name)
