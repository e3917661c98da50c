"""What is known of places: climate, land and coast, countries, and layers that a lake holds.

Every layer says what it is made from (:class:`registry.curate.layers.reference.Reference`), so that
each figure can name its reference. Nothing here talks to a network.
"""
