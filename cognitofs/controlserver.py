"""The mount's end of the control socket.

Owns the socket, who may speak to it, and the order of the answers. What the answers say is the
mount's (`MountFace`). Lives in the nursery of the mount and ends with it.

INVARIANT: only the person who mounted, and root, are heard.
INVARIANT: no client can end the mount: what goes wrong with a connection ends that connection.
"""

import contextlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import trio

from cognitofs.control import (
    MAX_LINE,
    MOST_FILES,
    DrainProgress,
    MountFace,
    decode,
    encode,
    error_document,
)
from cognitofs.errors import CognitoFSError, MountError
from cognitofs.runtime import reachable

_log = logging.getLogger(__name__)

# A client writes its request at once; guess, generous for a machine that swaps.
_REQUEST_SECONDS = 10.0
# A client that stops reading must not keep a drain's task for ever.
_ANSWER_SECONDS = 30.0
ALIVE_SECONDS = 5.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED of unix(7)


def listen(path: Path) -> socket.socket:
    """Return a socket that listens at *path*, mode 0600.

    What lies at *path* is replaced: call it only while holding the state directory's lock, which
    proves that its owner is dead. Raises MountError.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with reachable(path) as address:
            # The mode of a socket file is that of its descriptor when it is bound (unix(7)).
            os.fchmod(listener.fileno(), 0o600)
            listener.bind(address)
        listener.listen()
    except OSError as exc:
        listener.close()
        raise MountError(
            f"The control socket {path} cannot be made ({exc.strerror}); "
            "correct XDG_RUNTIME_DIR or unset it, then mount again."
        ) from exc
    return listener


async def serve(listener: socket.socket, path: Path, face: MountFace) -> None:
    """Answer requests on *listener* until cancelled, then remove *path*."""
    try:
        served = trio.SocketListener(trio.socket.from_stdlib_socket(listener))

        async def answer(stream: trio.SocketStream) -> None:
            await _answer(stream, face)

        await trio.serve_listeners(answer, [served])
    finally:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 -- a name in a local directory, at the end


async def _answer(stream: trio.SocketStream, face: MountFace) -> None:
    """Serve one connection; only cancellation leaves this function."""
    async with stream:
        try:
            _check_peer(stream)
            await _handle(stream, face, decode(await _request_line(stream)))
        except CognitoFSError as exc:
            await _say_error(stream, exc)
        except (trio.BrokenResourceError, trio.TooSlowError):
            _log.debug("A control client went away.")
        except Exception:  # noqa: BLE001 -- a defect in an answer must not end the mount
            _log.exception("A control request failed.")
            await _say_error(stream, MountError("The mount failed to answer; its log says why."))


async def _say_error(stream: trio.SocketStream, error: CognitoFSError) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.TooSlowError):
        await _send(stream, encode(kind="error", **error_document(error)))


def _check_peer(stream: trio.SocketStream) -> None:
    found = stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(found)
    if not may_speak(uid):
        raise MountError("This mount belongs to another user; only that user and root may ask it.")


def may_speak(uid: int) -> bool:
    """Return whether the user *uid* may give orders to this process."""
    return uid in (0, os.geteuid())


async def _request_line(stream: trio.SocketStream) -> bytes:
    line = b""
    with trio.fail_after(_REQUEST_SECONDS):
        while not line.endswith(b"\n"):
            if len(line) > MAX_LINE:
                raise MountError("The request is too long; use the cognitofs command to ask.")
            received = await stream.receive_some()
            if not received:
                raise MountError("The request has no end; use the cognitofs command to ask.")
            line += received
    return line


async def _handle(
    stream: trio.SocketStream, face: MountFace, message: Mapping[str, object]
) -> None:
    match request := message.get("request"):
        case "status":
            await _send(stream, encode(kind="status", status=_plain_status(face)))
        case "sync" | "drain":
            await _drain(stream, face)
            await _send(stream, encode(kind="done"))
        case "files":
            for file in face.files():
                await _send(stream, encode(kind="file", file=asdict(file)))
            await _send(stream, encode(kind="done"))
        case "discard":
            await _discard(stream, face, message.get("ids"))
            await _send(stream, encode(kind="done"))
        case "refresh":
            for path in _texts(message.get("paths")):
                names = await face.refresh(path)
                await _send(stream, encode(kind="refreshed", path=path, names=names))
            await _send(stream, encode(kind="done"))
        case "stop":
            face.stop()
            await _send(stream, encode(kind="done"))
        case _:
            raise MountError(
                f"The running mount does not know the request {request!r}; unmount it and "
                "mount it again with this version."
            )


def _plain_status(face: MountFace) -> dict[str, object]:
    status = asdict(face.status())
    status["files"] = status["files"][:MOST_FILES]
    return status


async def _drain(stream: trio.SocketStream, face: MountFace) -> None:
    """Drain, with a line for each progress and a sign of life between them."""
    sending = trio.Lock()  # lines of two tasks must not mix

    async def say(line: bytes) -> None:
        async with sending:
            await _send(stream, line)

    async def progress(now: DrainProgress) -> None:
        await say(encode(kind="progress", progress=asdict(now)))

    await _first_failure(say, lambda: face.drain(progress))


async def _discard(stream: trio.SocketStream, face: MountFace, ids: object) -> None:
    """Discard, with signs of life: a commit under way is waited for."""
    named = _texts(ids)

    async def say(line: bytes) -> None:
        await _send(stream, line)

    await _first_failure(say, lambda: face.discard(named))


def _texts(found: object) -> list[str]:
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


async def _first_failure(
    say: Callable[[bytes], Awaitable[None]], work: Callable[[], Awaitable[None]]
) -> None:
    """Run *work* beside the signs of life; raise its failure bare, not in a group."""
    failures: list[Exception] = []
    async with trio.open_nursery() as nursery:

        async def live() -> None:
            try:
                while True:
                    await trio.sleep(ALIVE_SECONDS)
                    await say(encode(kind="alive"))
            except (trio.BrokenResourceError, trio.TooSlowError) as exc:
                failures.append(exc)
                nursery.cancel_scope.cancel()

        nursery.start_soon(live)
        try:
            await work()
        except Exception as exc:  # noqa: BLE001 -- raised again below, outside the nursery
            failures.append(exc)
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _send(stream: trio.SocketStream, line: bytes) -> None:
    with trio.fail_after(_ANSWER_SECONDS):
        await stream.send_all(line)
