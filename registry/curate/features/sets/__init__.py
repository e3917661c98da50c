"""Feature sets of the lab, one module or package a family; each exposes one ``FeatureSet``."""
