"""Progress bars of long commands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from helios_pipeline.cli.terminal import err

FILES = "archive files"


class _Rate(ProgressColumn):
    """How many a second, lately; what was done before the bar began is none of it."""

    def render(self, task: Task) -> Text:
        """The rate, or nothing while there is none."""
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s", style="progress.data.speed")


@contextmanager
def open_progress() -> Iterator[Progress]:
    """Bars on a terminal, which go when the block ends; nothing in a file or a pipe."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield progress


class Bars:
    """Progress bars of whatever is going on: a step's partitions or sets, and the archive's files."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.clear()

    def clear(self) -> None:
        """Take the finished step's bars away."""
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._tasks: dict[str, Any] = {}
        self._files = self._finished = self._bytes = 0

    def step(self, step: str, done: int, total: int) -> None:
        """How far a step is."""
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total, completed=done)
        self._progress.update(self._tasks[step], completed=done, total=total)

    def started(self, files: int) -> None:
        """More files are to be looked for or fetched."""
        self._files += files
        self.step(FILES, self._finished, self._files)

    def received(self, size: int) -> None:
        """More bytes are here."""
        self._bytes += size

    def finished(self, name: str) -> None:  # noqa: ARG002 - one shape for every listener
        """A file is complete."""
        self._finished += 1
        self.step(FILES, self._finished, self._files)
        self._progress.update(self._tasks[FILES], description=f"{FILES}, {self._bytes / 1e6:.1f} MB")
