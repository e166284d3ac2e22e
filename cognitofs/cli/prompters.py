"""Prompters: how the person, or a script, answers what a sign-in asks.

Owns the questions' words. Which are asked, and when, is `auth/signin.py`.

INVARIANT: an answer never shows on the screen, except an attribute of the account.
"""

import getpass
import sys
from collections.abc import Iterator
from typing import TextIO

from cognitofs.cli.output import complain, plain
from cognitofs.errors import ConfigError

_CODES = {"SOFTWARE_TOKEN_MFA": "Code of your authenticator app"}


def is_terminal() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class TerminalPrompter:
    """Asks at the terminal."""

    def password(self, username: str) -> str:
        """Ask for the password of *username*."""
        return getpass.getpass(f"Password of {plain(username)}: ")

    def new_password(self, username: str) -> str:
        """Ask for a new password until it was typed twice alike."""
        complain(f"The password of {username} is temporary; choose one of your own.")
        while True:
            first = getpass.getpass("New password: ")
            if first == getpass.getpass("New password again: "):
                return first
            complain("The two differ; try again.")

    def attribute(self, name: str) -> str:
        """Ask for an attribute of the account."""
        sys.stderr.write(f"Your {plain(name)}: ")
        sys.stderr.flush()
        return sys.stdin.readline().strip()

    def code(self, kind: str) -> str:
        """Ask for a one-time code."""
        return getpass.getpass(f"{_CODES.get(kind, 'Code')}: ").strip()

    def notice(self, text: str) -> None:
        """Print *text*."""
        complain(text)


class LinesPrompter:
    """Answers with the lines of a stream in the order of the questions, the password first."""

    def __init__(self, stream: TextIO) -> None:
        self._lines: Iterator[str] = iter(stream)

    def password(self, username: str) -> str:
        """Return the next line as the password."""
        return self._line(f"the password of {username}")

    def new_password(self, username: str) -> str:
        """Return the next line as the new password."""
        return self._line(f"a new password for {username}, since the one given is temporary")

    def attribute(self, name: str) -> str:
        """Return the next line as the attribute *name*."""
        return self._line(f"the {name} of the account")

    def code(self, kind: str) -> str:
        """Return the next line as the code."""
        return self._line("the code of the authenticator app" if kind in _CODES else "a code")

    def notice(self, text: str) -> None:
        """Print *text*."""
        complain(text)

    def _line(self, what: str) -> str:
        line = next(self._lines, "").removesuffix("\n")
        if not line:
            raise ConfigError(
                f"The sign-in asks for {what}, but standard input has no such line; "
                "add it there, or run `cognitofs login` in a terminal."
            )
        return line
