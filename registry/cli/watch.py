"""A progress bar that appears once a command has run for two seconds."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["watching"]

_PATIENCE_SECONDS = 2.0


class _Bar:
    """Draws stages with their rate and the time that is left."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._bars: RichProgress | None = None
        self._task: TaskID | None = None
        self._what, self._unit = "", ""
        self._total: int | None = None
        self._done = 0

    def stage(self, what: str, *, total: int | None, unit: str) -> None:
        """Begin a stage; see :meth:`registry.progress.Progress.stage`."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, total=self._done, completed=self._done)
        self._what, self._unit, self._total, self._done = what, unit, total, 0
        self._task = None
        self._draw()

    def advance(self, count: int = 1) -> None:
        """Count on; see :meth:`registry.progress.Progress.advance`."""
        self._done += count
        self._draw()

    def close(self) -> None:
        """Leave the screen as it was."""
        if self._bars is not None:
            self._bars.stop()

    def _draw(self) -> None:
        if self._bars is None:
            if time.monotonic() - self._began < _PATIENCE_SECONDS:
                return
            self._bars = _bars()
            self._bars.start()
        if self._task is None:
            self._task = self._bars.add_task(self._what, total=self._total, unit=self._unit)
        self._bars.update(self._task, completed=self._done)


def _bars() -> "RichProgress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second, over the last moments."""

        def render(self, task: Task) -> Text:
            """Return the rate, or nothing where it is not known yet."""
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "")

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


@contextmanager
def watching() -> Iterator[Progress]:
    """Yield a progress that draws on a terminal, and says nothing elsewhere."""
    if not sys.stderr.isatty():
        yield SILENT
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.close()
