"""Spark jobs: the library's verbs where one machine is too small."""
