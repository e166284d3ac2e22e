"""Prompters: how the person, or a script, answers what a sign-in asks.

Owns the questions' words. Which are asked, and when, is `auth/signin.py`.

INVARIANT: an answer never shows on the screen, except an attribute of the account.
"""

import getpass
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

import segno

from cognitofs.cli.output import complain, plain
from cognitofs.errors import ConfigError

_CODES = {
    "SOFTWARE_TOKEN_MFA": "Code of your authenticator app",
    "SMS_MFA": "Code from the text message",
    "SMS_OTP": "Code from the text message",
    "EMAIL_OTP": "Code from the e-mail",
    "FORGOT_PASSWORD": "Code that proves it is you",
}
_CHOICES = {
    "SOFTWARE_TOKEN_MFA": "a code of your authenticator app",
    "SMS_MFA": "a code by text message",
    "SMS_OTP": "a code by text message",
    "EMAIL_OTP": "a code by e-mail",
    "PASSWORD_SRP": "your password",
    "PASSWORD": "your password",
}


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
        complain(f"Choose a new password for {username}.")
        while True:
            first = getpass.getpass("New password: ")
            if first == getpass.getpass("New password again: "):
                return first
            complain("The two differ; try again.")

    def attribute(self, name: str) -> str:
        """Ask for an attribute of the account."""
        return self._line(f"Your {plain(name)}")

    def code(self, kind: str, sent_to: str) -> str:
        """Ask for a one-time code."""
        place = f" (sent to {plain(sent_to)})" if sent_to else ""
        return getpass.getpass(f"{_CODES.get(kind, 'Code')}{place}: ").strip()

    def choice(self, kind: str, options: Sequence[str]) -> str:
        """Ask for the number of one of *options*."""
        second = kind == "SELECT_MFA_TYPE"
        complain("How do you want to prove who you are" + (" in addition?" if second else "?"))
        for number, option in enumerate(options, 1):
            sys.stderr.write(f"  {number}  {_CHOICES.get(option, plain(option))}\n")
        while True:
            typed = self._line(f"1 to {len(options)}")
            if typed.isascii() and typed.isdigit() and 1 <= int(typed) <= len(options):
                return options[int(typed) - 1]

    def authenticator(self, uri: str, secret: str) -> str:
        """Show the key as a QR code and as text; ask for the code that the app then shows."""
        complain("Your account needs an authenticator app. Scan this with it, or type the key:")
        if sys.stderr.isatty():
            segno.make(uri, error="m").terminal(out=sys.stderr, compact=True)
        sys.stderr.write(f"  key: {plain(secret)}\n")
        return getpass.getpass(f"{_CODES['SOFTWARE_TOKEN_MFA']}: ").strip()

    def _line(self, question: str) -> str:
        sys.stderr.write(f"{question}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise ConfigError("The terminal was closed before the sign-in was finished; try again.")
        return line.strip()

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

    def code(self, kind: str, sent_to: str) -> str:
        """Return the next line as the code."""
        return self._line(_CHOICES.get(kind, "a code"))

    def choice(self, kind: str, options: Sequence[str]) -> str:
        """Return the next line if it is one of *options*."""
        wanted = " or ".join(options)
        chosen = self._line(wanted)
        if chosen not in options:
            raise ConfigError(
                f"The sign-in can go on with {wanted}; write one of them on the next line of "
                "standard input."
            )
        return chosen

    def authenticator(self, uri: str, secret: str) -> str:
        """Nobody could scan anything: refuse."""
        raise ConfigError(
            "The account needs an authenticator app set up first; run `cognitofs login` in a "
            "terminal once."
        )

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
