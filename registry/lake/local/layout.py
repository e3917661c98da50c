"""Where things lie in the folder of an embedded lake."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Layout"]


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of one repository: a bare Git repository with the lake's own corner."""

    root: Path
    """The bare Git repository."""

    @property
    def git_objects(self) -> Path:
        """Git's objects: commits, trees and pointers."""
        return self.root / "objects"

    @property
    def objects(self) -> Path:
        """The stored bytes, in Git-LFS's own layout."""
        return self.root / "lfs" / "objects"

    @property
    def own(self) -> Path:
        """What neither Git nor Git-LFS knows of."""
        return self.root / "eolab"

    @property
    def sessions(self) -> Path:
        """One folder and one lock file for each open transaction or workspace."""
        return self.own / "sessions"

    @property
    def views(self) -> Path:
        """One read-only folder for each tree that was located."""
        return self.own / "views"

    @property
    def leases(self) -> Path:
        """One file for each process that reads views, with their names."""
        return self.own / "leases"

    @property
    def temporary(self) -> Path:
        """Half-written files; whatever is old here was left by a killed process."""
        return self.own / "tmp"

    @property
    def reflog(self) -> Path:
        """Every movement of every ref, oldest first."""
        return self.own / "reflog"

    @property
    def moves(self) -> Path:
        """Movements of several refs that are decided and perhaps not all made yet."""
        return self.own / "moves.json"

    @property
    def protected(self) -> Path:
        """The names of protected branches."""
        return self.own / "protected.json"

    @property
    def origin(self) -> Path:
        """Where the repository came from, if it was not made here."""
        return self.own / "origin.json"

    @property
    def promised(self) -> Path:
        """What is not stored here but at the origin, one object a line."""
        return self.own / "promised"

    @property
    def refs_lock(self) -> Path:
        """Held alone while a ref moves."""
        return self.own / "refs.lock"

    @property
    def gate(self) -> Path:
        """Shared by whoever adds or locates objects, held alone by garbage collection."""
        return self.own / "gate.lock"

    @property
    def turnstile(self) -> Path:
        """Passed before the gate, so that garbage collection gets its turn."""
        return self.own / "turnstile.lock"

    @property
    def swept(self) -> Path:
        """Written anew whenever something was removed, so that others forget what they read."""
        return self.own / "swept"

    @property
    def packing(self) -> Path:
        """Held alone while loose Git objects are packed."""
        return self.own / "packing.lock"

    def object(self, sha256: str) -> Path:
        """Return where an object's bytes lie."""
        return Path(f"{self.root}/lfs/objects/{sha256[:2]}/{sha256[2:4]}/{sha256}")  # asked often
