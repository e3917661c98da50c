"""Layers: what is known of places on Earth, out of packages or datasets of type ``reference``."""
