"""Features: what can be computed of a sample again, to the last bit, and where it is kept."""
