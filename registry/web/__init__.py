"""Doors for browsers: so far, a version rendered as one page."""
