"""What the commands print: sentences, sizes, progress.

Owns the difference between a terminal and a pipe. Knows no command.
"""

import io
import os
import sys
import textwrap
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from cognitofs.control import DrainProgress
from cognitofs.quantities import about

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Often enough to see that it moves, seldom enough for a log.
_LINE_SECONDS = 2.0
_STDOUT, _STDERR = 1, 2


def open_streams() -> None:
    """Open those of descriptors 0 to 2 that are closed, and let no character fail the output.

    Else a file of ours might become standard error, which libraries write to.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(fd, True)
    os.close(fd)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as we live
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Let go what stdout did not take: Python would try once more at its end, and say so."""
    fd = os.open(os.devnull, os.O_WRONLY)
    os.dup2(fd, _STDOUT)
    os.close(fd)


def say(text: str = "") -> None:
    """Print *text* to stdout, control characters of file names made visible."""
    sys.stdout.write(f"{plain(text)}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Print the sentence *text* to stderr, wrapped where a person reads it."""
    sentence = f"cognitofs: {plain(text)}"
    if sys.stderr.isatty():
        sentence = textwrap.fill(sentence, 100, break_long_words=False, break_on_hyphens=False)
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def plain(text: str) -> str:
    """Return *text* without the power to steer a terminal: escapes for what cannot be printed."""
    return "".join(
        each
        if each.isprintable() or each == "\n"
        else each.encode("unicode_escape", "surrogatepass").decode()
        for each in text
    )


def files_text(count: int, size: int | None = None) -> str:
    """Return "1 file" or "2 files (3.0 MB)"."""
    files = f"{count} file" + ("" if count == 1 else "s")
    return files if size is None else f"{files} ({about(size)})"


def left_text(progress: DrainProgress) -> str:
    """Return what is still to go, as the end of a line."""
    text = f"{files_text(progress.pending_files, progress.pending_bytes)} to send"
    if progress.waiting_for:
        text += f", waiting for the {_WAITS.get(progress.waiting_for, progress.waiting_for)}"
    return text


_WAITS = {"auth": "sign-in (`cognitofs login`)", "network": "network"}


class DrainDisplay:
    """Shows a drain: a bar on a terminal, now and then a line elsewhere. A context manager.

    Writes to stderr: stdout belongs to the command's result.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._total = 0
        self._next_line = 0.0
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: DrainProgress) -> None:
        """Show *progress*; nothing is shown while there was never anything to send."""
        if not progress.pending_bytes and not self._total:
            return
        self._total = max(self._total, progress.pending_bytes)
        if sys.stderr.isatty():
            self._move_bar(progress)
        else:
            self._print_line(left_text(progress))

    def _print_line(self, text: str) -> None:
        now = time.monotonic()
        if text != self._said and now >= self._next_line:
            complain(text)
            self._said, self._next_line = text, now + _LINE_SECONDS

    def _move_bar(self, progress: DrainProgress) -> None:
        bar = self._started_bar()
        if self._task is not None:
            done = self._total - progress.pending_bytes
            bar.update(
                self._task, description=left_text(progress), total=self._total, completed=done
            )

    def _started_bar(self) -> "Progress":
        if self._bar is None:
            # Rich costs 90 ms to import; most drains have nothing to show.
            from rich.console import Console  # noqa: PLC0415 -- see above
            from rich.progress import (  # noqa: PLC0415 -- see above
                BarColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
                TransferSpeedColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=None)
            self._bar.start()
        return self._bar
