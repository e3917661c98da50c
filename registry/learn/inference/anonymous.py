"""Files that have no name until they are whole: who is killed before leaves nothing behind."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from registry.errors import UnavailableError

__all__ = ["Unnamed"]

_CANNOT: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})
"""What a file system, or a kernel, says that knows no files without a name."""


class Unnamed:
    """A file in a folder without a name there; a context manager.

    The kernel frees it when the process ends, however that happens. Where a file system cannot do
    that it has a hidden name, which goes when this is closed.
    """

    def __init__(self, folder: Path) -> None:
        """Make it.

        Raises:
            OSError: Never; the folder that cannot be written to is an ``UnavailableError``.
        """
        self._folder = folder
        self._hidden: Path | None = None
        with _writing(folder):
            try:
                self._number = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o666)
            except OSError as error:
                if error.errno not in _CANNOT:
                    raise
                self._hidden = folder / f".eolab-{secrets.token_hex(8)}.partial"
                self._number = os.open(self._hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let it go."""
        os.close(self._number)
        if self._hidden is not None:
            self._hidden.unlink(missing_ok=True)

    @property
    def path(self) -> str:
        """By which libraries of this process open it."""
        return str(self._hidden or f"/proc/self/fd/{self._number}")

    def name(self, path: Path) -> None:
        """Give it a name in its folder, in place of whatever has that name.

        Says as ``UnavailableError`` that the disk is full, or the folder gone.
        """
        with _writing(self._folder):
            os.fsync(self._number)
            if self._hidden is not None:
                self._hidden.replace(path)
                return
            passing = self._folder / f".eolab-{secrets.token_hex(8)}.partial"
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:  # with a folder given, Python lets the kernel follow the link to the file itself
                os.link(self.path, passing.name, dst_dir_fd=folder, follow_symlinks=True)
                passing.replace(path)
            finally:
                os.close(folder)
                with suppress(FileNotFoundError):
                    passing.unlink()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say in our words what the system refuses.

    Yields:
        Nothing.

    Raises:
        UnavailableError: It refuses.
    """
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"'{folder}' cannot be written to: {error.strerror}",
            hint="make the folder, free some space there, or write elsewhere by -o",
        ) from error
