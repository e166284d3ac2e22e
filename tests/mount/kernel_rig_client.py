"""Drives `kernel_rig.py` in a process of its own and waits for what it tells.

No wait is a guess: commands are answered, requests are awaited by what they are, and whether a
program hangs in the kernel is read from /proc. Every wait ends after `PATIENCE` seconds.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0
"""Seconds after which a condition that never comes fails the test; no test should reach it."""

Event = dict[str, object]


class Rig:
    """One mounted rig: its mountpoint, its requests so far, its commands."""

    def __init__(self, mountpoint: Path, process: "subprocess.Popen[bytes]") -> None:
        self.path = mountpoint
        self.process = process
        self.events: list[Event] = []
        self._arriving: queue.Queue[Event | None] = queue.Queue()
        self._marks = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._arriving.put(json.loads(line))
        self._arriving.put(None)

    def wait_for(self, event: str, count: int = 1, **facts: object) -> list[Event]:
        """Return all events of this kind as soon as there are *count* of them."""
        while len(found := self.seen(event, **facts)) < count:
            arrived = self._arriving.get(timeout=PATIENCE)
            assert arrived is not None, f"the rig ended before {count} x {event} {facts}"
            self.events.append(arrived)
        return found

    def wait_end(self) -> int:
        """Collect what is still told and return the rig's exit status."""
        self._listener.join(PATIENCE)
        while not self._arriving.empty():
            if (arrived := self._arriving.get()) is not None:
                self.events.append(arrived)
        return self.process.wait(PATIENCE)

    def seen(self, event: str, **facts: object) -> list[Event]:
        """Return the events of this kind that have been taken in so far."""
        wanted = facts.items()
        return [e for e in self.events if e["event"] == event and wanted <= e.items()]

    def so_far(self, event: str, **facts: object) -> list[Event]:
        """Return the events of this kind, all that the rig told up to this moment included.

        The rig's event loop turns more than once between the command and the answer, so a request
        that it could have taken from the kernel has been told too.
        """
        for _ in range(3):
            self._marks += 1
            self.command(mark=self._marks)
            self.wait_for("mark", mark=self._marks)
        return self.seen(event, **facts)

    def order(self, *kinds: str) -> list[str]:
        """Return the kinds of the events so far, in order, only those named."""
        self.so_far("mark")
        return [str(e["event"]) for e in self.events if e["event"] in kinds]

    def command(self, **command: object) -> None:
        """Give one command (see `kernel_rig.py`) and return when it has been obeyed."""
        assert self.process.stdin is not None
        answered = len(self.seen("done"))
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        self.process.stdin.flush()
        self.wait_for("done", answered + 1)

    def set(self, key: str, to: object) -> None:
        """Change one of the rig's behaviours."""
        self.command(**{"set": key, "to": to})

    def put(self, name: str, size: int = 10, fill: str = "x") -> Path:
        """Make a file without the kernel's knowledge and return its path."""
        self.command(put=name, size=size, fill=fill)
        return self.path / name

    def clear(self) -> None:
        """Forget the events so far."""
        self.so_far("mark")
        self.events.clear()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll *condition* until it holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.002)


def waits_for_fuse(process: "subprocess.Popen[bytes]") -> bool:
    """Tell whether *process* hangs in the kernel, waiting for the answer to a FUSE request."""
    return "request_wait_answer" in Path(f"/proc/{process.pid}/wchan").read_text()


@contextmanager
def mounted(mountpoint: Path, *, max_tasks: int = 20) -> Iterator[Rig]:
    """Mount a rig, and leave neither its mount nor its process behind.

    What the rig writes to standard error stands in `rig.err` beside the mountpoint.
    """
    program = Path(__file__).with_name("kernel_rig.py")
    with (
        (mountpoint.parent / "rig.err").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, program, mountpoint, str(max_tasks)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        rig = Rig(mountpoint, process)
        try:
            rig.wait_for("ready")
            yield rig
        finally:
            process.kill()
            rig.wait_end()
            unmount(mountpoint, "-z", "-q")


def unmount(mountpoint: Path, *flags: str) -> int:
    """Run fusermount3 and return its exit status."""
    return subprocess.run(
        ["fusermount3", "-u", *flags, mountpoint],
        check=False,
        stderr=subprocess.DEVNULL,
        timeout=PATIENCE,
    ).returncode


def fuse_available() -> bool:
    """Tell whether this machine lets us mount at all."""
    return os.access("/dev/fuse", os.R_OK | os.W_OK)
