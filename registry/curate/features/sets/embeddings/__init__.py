"""Embeddings: by random filters that nobody trained, by a model's file; and fewer dimensions."""

from registry.curate.features.sets.embeddings.definition import EMBEDDINGS, parameterised
from registry.curate.features.sets.embeddings.reducing import Components, fit_components, reduce

__all__ = ["EMBEDDINGS", "Components", "fit_components", "parameterised", "reduce"]
