"""A mount in the background: starting its process, and hearing whether it stands.

Owns the child process until it is ready, the line it reports with, and the hardening of a process
that holds keys. Does not mount: the child runs the same command with `--foreground`.

INVARIANT: no fork after threads: the child is a new interpreter.
INVARIANT: nothing secret is in its arguments or environment; it reads its own files.
INVARIANT: `start` leaves either a mount that answers or no process.
"""

import ctypes
import json
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from cognitofs.control import MountReport, decode, error_document, error_from, mount_report
from cognitofs.errors import CognitoFSError, MountError, Stalled
from cognitofs.logs import last_lines
from cognitofs.safefiles import open_private

READY_OPTION = "--ready-fd"
# Signing in again, recovery of 10,000 rows and a slow link are all below a minute.
READY_SECONDS = 120.0
_END_SECONDS = 5.0
DESCRIPTORS = 65_536
"""As many as the kernel lets us have, up to this."""

_PR_SET_DUMPABLE = 4  # prctl(2), linux/prctl.h


def start(
    command: Sequence[str], arguments: Sequence[str], log: Path, *, seconds: float = READY_SECONDS
) -> MountReport:
    """Run `cognitofs COMMAND ARGUMENTS` as a process of its own; return its report once it mounts.

    *command* makes it stay in the foreground. Raises the error the process reports, MountError
    when it ends without one, Stalled when it is not ready in time (it is ended then).
    """
    reading, writing = os.pipe()
    try:
        process = _spawn(command, arguments, log, writing)
    except OSError as exc:
        os.close(reading)
        raise MountError(
            f"The mount's process could not be started ({exc.strerror}); see that {log} can be "
            "written, or mount with --foreground."
        ) from exc
    finally:
        os.close(writing)
    with _ended_on_error(process), os.fdopen(reading, "rb", buffering=0) as pipe:
        line = _first_line(pipe.fileno(), time.monotonic() + seconds, log)
        return _report(line, process, log)


def _spawn(
    command: Sequence[str], arguments: Sequence[str], log: Path, ready: int
) -> "subprocess.Popen[bytes]":
    output = open_private(log, os.O_WRONLY | os.O_APPEND)
    try:
        # -P: a module of the person's working directory must not take a library's place.
        return subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "cognitofs",
                *command,
                f"{READY_OPTION}={ready}",
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(ready,),
            start_new_session=True,
        )
    finally:
        os.close(output)


@contextmanager
def _ended_on_error(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    try:
        yield
    except BaseException:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    # Our child outlives us: not an accident that deserves Popen's ResourceWarning.
    process.returncode = process.poll() or 0


def _first_line(pipe: int, deadline: float, log: Path) -> bytes:
    """Return what the child wrote up to a newline or its end. Raises Stalled."""
    line = b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while not line.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise Stalled(
                f"The mount was not ready in time and was given up; its log {log} may say why. "
                "Look at the network, then try again."
            )
        received = os.read(pipe, 1 << 16)
        if not received:
            break
        line += received
    return line


def _report(line: bytes, process: "subprocess.Popen[bytes]", log: Path) -> MountReport:
    if not line.endswith(b"\n"):
        code = process.wait(_END_SECONDS)
        said = "".join(last_lines(log)).rstrip(".") or "it said nothing"
        raise MountError(
            f"The mount's process ended ({_ending(code)}) before it was ready: {said}. "
            f"Its log is {log}."
        )
    message = decode(line)
    report, error = message.get("report"), message.get("error")
    if isinstance(report, dict):
        return mount_report(report)
    raise error_from(error if isinstance(error, dict) else {})


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


class Readiness:
    """The child's end of the pipe: says once that the mount stands, or why it does not."""

    def __init__(self, descriptor: int) -> None:
        """Take over *descriptor*; the programs we start (fusermount3) do not inherit it.

        Raises MountError when there is no such descriptor.
        """
        try:
            os.set_inheritable(descriptor, False)
        except OSError as exc:
            raise MountError(f"{READY_OPTION} is for cognitofs itself; mount without it.") from exc
        self._descriptor: int | None = descriptor

    def ready(self, report: MountReport) -> None:
        """Tell the parent that the mount answers."""
        self._say({"report": asdict(report)})

    def failed(self, error: CognitoFSError) -> None:
        """Tell the parent why there is no mount. Nothing happens after `ready`."""
        self._say({"error": error_document(error)})

    def _say(self, message: dict[str, object]) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.write(descriptor, json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            pass  # the parent was interrupted; the mount is what was asked for
        finally:
            os.close(descriptor)


def harden() -> None:
    """Make this process private: no core dump, no ptrace by others of the same user, umask 077.

    Each file that a program writes needs a descriptor here too, so the soft limit is raised.

    Keys and tokens are in its memory; its files hold other people's bytes.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY:
        most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    # prctl fails only for an unknown option (EINVAL), and this one is as old as Linux 2.4.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
