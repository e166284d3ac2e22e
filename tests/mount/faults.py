"""FaultGate: a gate that spoils one request or its answer, and says which it has spoilt.

Each fault is what a network, a proxy or an overloaded S3 does. Those of `BEFORE` leave the server
without the request; those of `AFTER` let it happen and spoil what it says.
"""

import re
import socket
import struct
import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import BinaryIO

from tests.mount.gate import Gate, Request, read_body, read_head

STALLED_SECONDS = 2.0
"""How long a stall lasts; the client gives up before."""
SKEW_SECONDS = 600
"""How far off the client's clock is said to be: the server itself still takes either."""
_ERRORS = {
    "503 SlowDown": (503, "SlowDown"),
    "500 InternalError": (500, "InternalError"),
    "ExpiredToken": (400, "ExpiredToken"),
    "RequestTimeTooSkewed": (403, "RequestTimeTooSkewed"),
}
BEFORE = (*_ERRORS, "reset before the body", "reset after the body", "stall")
AFTER = ("lost answer", "stalled answer", "truncated answer", "corrupted answer")
RANGES = ("wrong Content-Range",)
FAULTS = (*BEFORE, *AFTER, *RANGES)


@dataclass
class _Armed:
    what: str
    fault: str
    times: int


class FaultGate(Gate):
    """Passes everything on unspoilt until it is armed."""

    def __init__(self, endpoint: str) -> None:
        self._armed: _Armed | None = None
        self.fired: list[tuple[str, str]] = []
        super().__init__(endpoint)

    def arm(self, what: str, fault: str, *, times: int = 1) -> None:
        """Spoil the next *times* requests of the operation *what*."""
        with self._changed:
            self.fired = []
            self._armed = _Armed(what, fault, times)

    def disarm(self) -> list[tuple[str, str]]:
        """Spoil nothing any more; return what was spoilt."""
        with self._changed:
            self._armed = None
            return self.fired

    def _take(self, request: Request, head: bytes) -> str:
        """Return the fault that this request meets, "" for none."""
        with self._changed:
            armed = self._armed
            if armed is None or armed.what != request.what or not armed.times:
                return ""
            if armed.fault in RANGES and b"\r\nrange:" not in head.lower():
                return ""
            armed.times -= 1
            self.fired.append((request.what, armed.fault))
            return armed.fault

    def _serve(
        self,
        request: Request,
        head: bytes,
        client: socket.socket,
        server: socket.socket,
        asking: BinaryIO,
        answering: BinaryIO,
    ) -> bool:
        fault = self._take(request, head)
        if not fault:
            return super()._serve(request, head, client, server, asking, answering)
        if fault == "reset before the body":
            return _reset(client)
        body = b"".join(read_body(asking, head))
        if fault in BEFORE:
            return self._refuse(fault, request, client)
        server.sendall(head + body)
        answer = read_head(answering)
        assert answer is not None
        status = int(answer.split(b" ", 2)[1])
        has_body = request.method != "HEAD" and status not in (204, 304)
        said = b"".join(read_body(answering, answer)) if has_body else b""
        return _spoil(fault, client, answer, said)

    def _refuse(self, fault: str, request: Request, client: socket.socket) -> bool:
        if fault == "stall":
            time.sleep(STALLED_SECONDS)
        if fault not in _ERRORS:
            return _reset(client)
        status, code = _ERRORS[fault]
        body = b"" if request.method == "HEAD" else f"<Error><Code>{code}</Code></Error>".encode()
        ahead = SKEW_SECONDS if fault == "RequestTimeTooSkewed" else 0
        date = formatdate(time.time() + ahead, usegmt=True)
        client.sendall(
            f"HTTP/1.1 {status} {code}\r\nDate: {date}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n".encode()
            + body
        )
        return False


def _spoil(fault: str, client: socket.socket, head: bytes, body: bytes) -> bool:
    """Give the answer in the way that *fault* says; the connection is over then."""
    if fault == "stalled answer":
        time.sleep(STALLED_SECONDS)
    if fault in ("lost answer", "stalled answer"):
        return _reset(client)
    if fault == "truncated answer":
        client.sendall(head + body[: len(body) // 2] if body else head[: len(head) // 2])
    elif fault == "corrupted answer":
        middle = len(body) // 2
        client.sendall(head + body[:middle] + bytes(b ^ 0x55 for b in body[middle:]))
    else:
        wrong = re.sub(rb"(?i)(content-range: *bytes )\d+", rb"\g<1>7", head)
        client.sendall(wrong + body)
    client.shutdown(socket.SHUT_RDWR)
    return False


def _reset(client: socket.socket) -> bool:
    """Break the connection with a reset instead of an end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False
