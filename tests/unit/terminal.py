"""A terminal with a person at it: runs a command on a pseudo-terminal and types answers."""

import os
import pty
import select
import signal
import subprocess
import sys
from dataclasses import dataclass

# Only to end a test that would hang.
SECONDS = 60


@dataclass(frozen=True)
class Session:
    code: int
    screen: str


def dialogue(
    arguments, answers, environ, *, program=(sys.executable, "-m", "cognitofs"), enter="\n"
):
    """Run `cognitofs ARGUMENTS`; type each answer when its question appears. Return a Session.

    *answers* are pairs of a piece of the question and what is typed, or what makes that of the
    screen so far; SIGINT is Ctrl-C. *enter* is what the key sends: a carriage return for
    programs that draw a screen of their own.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        # getpass asks at the controlling terminal.
        # Whoever runs the tests in the background has SIGINT ignored, and ignored it would stay.
        ["env", "--default-signal=INT", "setsid", "--ctty", "--wait", *program, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ,
    )
    os.close(theirs)
    position = 0
    screen = ""
    try:
        for question, answer in answers:
            while question not in screen[position:]:
                screen += _read(ours, screen)
            position = screen.index(question, position) + len(question)
            typed = answer(screen) if callable(answer) else answer
            os.write(ours, b"\x03" if typed is signal.SIGINT else f"{typed}{enter}".encode())
        while piece := _read(ours, screen, at_end=True):
            screen += piece
        return Session(process.wait(SECONDS), screen.replace("\r\n", "\n"))
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(fd, screen, *, at_end=False):
    if not select.select([fd], [], [], SECONDS)[0]:
        raise AssertionError(f"nothing more came after: {screen}")
    try:
        piece = os.read(fd, 65536).decode()
    except OSError:  # Linux reports the other side's end so.
        piece = ""
    if not piece and not at_end:
        raise AssertionError(f"the command ended after: {screen}")
    return piece
