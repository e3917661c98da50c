"""What assets are given: the library's objects, built from the environment."""

from pathlib import Path

import dagster as dg

from registry.catalog import Registry, Version

__all__ = ["LakeResource"]


class LakeResource(dg.ConfigurableResource[Registry]):
    """Where the registry lives."""

    address: str = ""
    """A folder or ``file:///…``; empty means ``EOLAB_LAKE``, else ``.eolab/lake`` here."""

    def open(self) -> Registry:
        """Return the registry, making its lake where there is none yet."""
        from registry.catalog import Registry
        from registry.lake import init

        return Registry(lake=init(self.address or None))

    def newest(self, dataset: str) -> Version:
        """Return a dataset's newest version that was not withdrawn, whoever published it.

        Raises:
            NotFoundError: Nothing is published.
        """
        registry = self.open()
        return registry.resolve(f"{dataset}@{registry.resolve(dataset).label}")

    def folder(self, name: str) -> Path:
        """Return a folder beside the lake for what is made but not versioned, such as pages."""
        from urllib.parse import urlparse

        lake = Path(urlparse(self.open().lake.address).path)
        made = lake.parent / name
        made.mkdir(parents=True, exist_ok=True)
        return made
