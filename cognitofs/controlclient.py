"""The command's end of the control socket: synchronous, each wait with a deadline.

Owns the connection and what silence means. Prints nothing.
"""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cognitofs.control import (
    MAX_LINE,
    DrainProgress,
    FileStatus,
    MountStatus,
    decode,
    drain_progress,
    encode,
    error_from,
    file_status,
    mount_status,
)
from cognitofs.errors import MountError, NotMounted, Stalled
from cognitofs.runtime import reachable

# A mount answers within milliseconds; a machine under load may need more.
ANSWER_SECONDS = 5.0
# While it drains the mount gives a sign of life every five seconds.
SILENCE_SECONDS = 30.0
# An answer without steps is ended by silence; its deadline only bounds a flood of signs of life.
_FLOOD = 2
# A list of a hundred thousand files, or a commit under way on a slow line.
_LONG = 600.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED of unix(7)


def ask_status(path: Path, *, seconds: float = ANSWER_SECONDS) -> MountStatus:
    """Return the status of the mount that listens at *path*.

    Raises NotMounted when nobody listens, Stalled when it stays silent, or the mount's own error.
    """
    for message in _answers(
        path, {"request": "status"}, time.monotonic() + _FLOOD * seconds, seconds
    ):
        status = message.get("status")
        if isinstance(status, dict):
            return mount_status(status)
    raise _unfinished(path)


def files(path: Path, *, seconds: float = ANSWER_SECONDS) -> tuple[FileStatus, ...]:
    """Return every file that S3 does not have as it is in the mount. Raises as `ask_status`."""
    found = []
    for message in _answers(path, {"request": "files"}, time.monotonic() + _LONG, seconds):
        file = message.get("file")
        if isinstance(file, dict):
            found.append(file_status(file))
        if message.get("kind") == "done":
            return tuple(found)
    raise _unfinished(path)


def discard(path: Path, ids: Sequence[str]) -> None:
    """Have the mount give the sealed bytes of the files *ids* up.

    Raises UnsentFiles where it cannot, and as `ask_status`.
    """
    request = {"request": "discard", "ids": list(ids)}
    for message in _answers(path, request, time.monotonic() + _LONG, SILENCE_SECONDS):
        if message.get("kind") == "done":
            return
    raise _unfinished(path)


def refresh(path: Path, paths: Sequence[str]) -> dict[str, int]:
    """Have the mount drop what is cached of *paths*; return the names it knew, by path.

    Raises as `ask_status`.
    """
    known = {}
    request = {"request": "refresh", "paths": list(paths)}
    for message in _answers(path, request, time.monotonic() + _LONG, SILENCE_SECONDS):
        names = message.get("names")
        if isinstance(names, int):
            known[str(message.get("path"))] = names
        if message.get("kind") == "done":
            return known
    raise _unfinished(path)


def drain(
    path: Path, *, request: str, seconds: float, progress: Callable[[DrainProgress], None]
) -> DrainProgress:
    """Have the mount at *path* send everything; return what is left when it says it is done.

    *request* is "sync" or "drain". Raises Stalled after *seconds*, NotMounted, MountError, or the
    mount's own error; what was not sent stays in its journal.
    """
    latest = DrainProgress()
    asked = {"request": request}
    for message in _answers(path, asked, time.monotonic() + seconds, SILENCE_SECONDS):
        found = message.get("progress")
        if isinstance(found, dict):
            latest = drain_progress(found)
            progress(latest)
        if message.get("kind") == "done":
            return latest
    raise _unfinished(path)


def stop(path: Path, *, seconds: float = ANSWER_SECONDS) -> None:
    """Have a mount that only drains exit at once. Raises as `ask_status`."""
    for message in _answers(
        path, {"request": "stop"}, time.monotonic() + _FLOOD * seconds, seconds
    ):
        if message.get("kind") == "done":
            return
    raise _unfinished(path)


def peer(path: Path) -> int:
    """Return the process id of who listens at *path*, without its help. Raises NotMounted."""
    with _connected(path, ANSWER_SECONDS) as connection:
        found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid: int = _CREDENTIALS.unpack(found)[0]
    return pid


def _unfinished(path: Path) -> MountError:
    return MountError(
        f"The mount behind {path} ended before it had answered; run `cognitofs status`."
    )


def _connected(path: Path, seconds: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        with reachable(path) as address:
            connection.connect(address)
    except TimeoutError as exc:
        connection.close()
        raise _silent(seconds) from exc
    except OSError as exc:
        connection.close()
        raise NotMounted(
            f"No mount answers at {path} ({os.strerror(exc.errno or 0)}); mount it again."
        ) from exc
    return connection


def _answers(
    path: Path, request: Mapping[str, object], deadline: float, silence: float
) -> Iterator[dict[str, object]]:
    """Yield the answers to *request* until the mount closes. Raises the error it answers with."""
    with _connected(path, min(silence, _left(deadline))) as connection:
        try:
            connection.sendall(encode(**request))
            for line in _lines(connection, deadline, silence):
                message = decode(line)
                if message.get("kind") == "error":
                    raise error_from(message)
                yield message
        except TimeoutError as exc:
            raise _silent(silence) from exc
        except OSError as exc:
            raise _unfinished(path) from exc


def _lines(connection: socket.socket, deadline: float, silence: float) -> Iterator[bytes]:
    """Yield whole lines; each must come within *silence* seconds, all before *deadline*."""
    received = b""
    while len(received) <= MAX_LINE:
        connection.settimeout(min(silence, _left(deadline)))
        try:
            more = connection.recv(1 << 16)
        except TimeoutError:
            _left(deadline)
            raise
        if not more:
            return
        *whole, received = (received + more).split(b"\n")
        yield from whole
    raise MountError("The mount's answer has no end; unmount it and mount it again.")


def _left(deadline: float) -> float:
    """Return the seconds until *deadline*, of the monotonic clock. Raises Stalled past it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise Stalled(
            "The time given is over and not everything has been sent; the mount goes on sending, "
            "`cognitofs status` shows how far it is."
        )
    return left


def _silent(seconds: float) -> Stalled:
    return Stalled(
        f"The mount's process has not answered for {seconds:g} s; look at `cognitofs status`, "
        "and end it with `fusermount3 -u` if it stays so (unsent files are kept)."
    )
