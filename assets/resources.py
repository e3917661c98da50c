"""What assets are given: the library's objects, built from the environment."""

from pathlib import Path

import dagster as dg

from registry.catalog import Registry, Version

__all__ = ["LakeResource"]


class LakeResource(dg.ConfigurableResource[Registry]):
    """Where the registry lives."""

    address: str = ""
    """A folder, ``file:///…``, ``lakefs://…``; empty means ``EOLAB_LAKE``, else ``.eolab/lake``."""

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
        """Return a folder for what is made but not versioned, such as pages.

        It lies beside a lake that is a folder, and in ``.eolab`` here for a lake on a server.
        """
        from urllib.parse import unquote, urlsplit

        parts = urlsplit(self.open().lake.address)
        home = Path(unquote(parts.path)).parent if parts.scheme == "file" else Path(".eolab")
        made = home.absolute() / name
        made.mkdir(parents=True, exist_ok=True)
        return made
