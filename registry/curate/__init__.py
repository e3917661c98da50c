"""A source becomes a version worth having."""
