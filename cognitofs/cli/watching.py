"""Asking again and again: `status --watch` and `status --wait-clean`.

Owns when to ask, when to stop, and how a changing text is shown on a terminal and in a pipe.
"""

import json
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Protocol, TypeVar

from cognitofs.cli.output import plain, say
from cognitofs.errors import Stalled

POLL_SECONDS = 0.5


class Shown(Protocol):
    """What can be said of files or mounts at one moment."""

    @property
    def is_clean(self) -> bool:
        """Tell whether S3 has everything."""
        ...

    @property
    def needs_person(self) -> bool:
        """Tell whether something will not resolve by itself."""
        ...

    @property
    def goes_on(self) -> bool:
        """Tell whether a process works on what is left."""
        ...

    def document(self) -> dict[str, object]:
        """Return the document of `--json`."""
        ...

    def lines(self) -> Iterator[str]:
        """Yield what a person should know."""
        ...


_S = TypeVar("_S", bound=Shown)


def awaited(ask: Callable[[], _S], deadline: float) -> _S:
    """Ask until S3 has everything or nothing goes on by itself; return the last answer.

    *deadline* is of the monotonic clock. Raises Stalled past it.
    """
    while not _is_over(found := ask()):
        _sleep(deadline)
    return found


def watched(
    ask: Callable[[], _S], *, as_json: bool, until_clean: bool, deadline: float | None
) -> _S:
    """Show the answer whenever it changes, for good or until S3 has everything.

    Returns the last answer. Raises Stalled past *deadline*.
    """
    show = _lines_of_json if as_json else _on_terminal if sys.stdout.isatty() else _in_a_pipe
    shown = show()
    next(shown)
    try:
        while True:
            found = ask()
            shown.send(found)
            if until_clean and _is_over(found):
                return found
            _sleep(deadline)
    finally:
        shown.close()


def _is_over(found: Shown) -> bool:
    return found.is_clean or not found.goes_on


def _sleep(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise Stalled("S3 does not have everything yet; it goes on, look at `cognitofs status`.")
    time.sleep(POLL_SECONDS)


_Display = Generator[None, Shown, None]


def _lines_of_json() -> _Display:
    """Print a document a line."""
    last = ""
    while True:
        text = json.dumps((yield).document())
        if text != last:
            say(text)
        last = text


def _in_a_pipe() -> _Display:
    """Print a block for each change."""
    last: list[str] = []
    while True:
        found = list((yield).lines())
        if found != last:
            say("\n".join(found) + "\n")
        last = found


def _on_terminal() -> _Display:
    """Keep one text up to date in place."""
    # Rich costs 90 ms to import.
    from rich.live import Live  # noqa: PLC0415 -- see above
    from rich.text import Text  # noqa: PLC0415 -- see above

    with Live(auto_refresh=False) as live:
        while True:
            live.update(Text(plain("\n".join((yield).lines()))), refresh=True)
