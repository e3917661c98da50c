"""Architectures, weights and cards: what a model is, and where it is kept."""
