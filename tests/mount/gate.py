"""Gate: a relay before an S3 server that counts what passes, and can be shut.

A profile's endpoint is the gate's URL, and bytes pass unchanged in both directions (signatures
cover the Host header, which the server sees as it was signed). Every request is recorded with its
size, so a test counts what was sent instead of guessing.

Requests can be held (`hold`: the server does not hear of them until `release`) or slowed down
(`slow`), and the gate can be shut (`shut`: connections are refused and broken, as with a server
that is down).
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

_CHUNK = 1 << 18
_PATIENCE = 90.0


@dataclass(slots=True)
class Request:
    """One request, and how many bytes the bodies of it and of its answer had.

    `status` is 0 until it was answered.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    sent: int = 0
    received: int = 0
    status: int = 0

    @property
    def what(self) -> str:
        """The S3 operation, as far as tests tell them apart."""
        names = {part.partition("=")[0] for part in self.query.split("&")}
        is_copy = "x-amz-copy-source" in self.headers
        if self.method == "PUT" and "partNumber" in names:
            return "UploadPartCopy" if is_copy else "UploadPart"
        if self.method == "PUT":
            return "CopyObject" if is_copy else "PutObject"
        if self.method == "POST":
            return "Create" if "uploads" in names else "Complete" if "uploadId" in names else "POST"
        if self.method == "DELETE":
            return "Abort" if "uploadId" in names else "DeleteObject"
        if self.method == "GET":
            listing = "List" if {"list-type", "delimiter"} & names else "GetObject"
            return "ListParts" if "uploadId" in names else listing
        return "HeadObject" if self.method == "HEAD" else self.method


def is_commit(request: Request) -> bool:
    """Tell whether a request would make an object; the probe at each mount would not."""
    return request.what in ("PutObject", "Complete") and "probe" not in request.path


class Gate:
    """A relay on 127.0.0.1 to the server at *endpoint*."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._server = (parts.hostname or "", parts.port or 80)
        self._requests: list[Request] = []
        self._changed = threading.Condition()
        self._held: Callable[[Request], bool] = lambda _: False
        self._holding = 0
        self._delay = 0.0
        self._is_shut = False
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """Where clients go."""
        return f"http://127.0.0.1:{self.port}"

    # -- what passed ------------------------------------------------------------------------------

    def requests(self, *whats: str) -> list[Request]:
        """Return what passed so far, of these kinds if any are named."""
        with self._changed:
            return [each for each in self._requests if not whats or each.what in whats]

    def sent(self) -> int:
        """Return how many bytes of bodies went to the server."""
        return sum(each.sent for each in self.requests())

    def forget(self) -> None:
        """Begin counting anew."""
        with self._changed:
            self._requests.clear()

    # -- standing in the way ----------------------------------------------------------------------

    def hold(self, which: Callable[[Request], bool] = lambda _: True) -> None:
        """Keep back the requests that *which* chooses, until `release`."""
        with self._changed:
            self._held = which

    def release(self) -> None:
        """Let everything pass again."""
        self.hold(lambda _: False)
        with self._changed:
            self._changed.notify_all()

    def slow(self, seconds: float) -> None:
        """Let each request that changes something wait so long before it goes on."""
        self._delay = seconds

    def wait_held(self, count: int = 1) -> None:
        """Return when at least *count* requests are being held."""
        with self._changed:
            came = self._changed.wait_for(lambda: self._holding >= count, _PATIENCE)
            assert came, f"only {self._holding} of {count} requests came"

    def wait_answered(self, what: str, count: int) -> None:
        """Return when *count* requests of a kind were answered."""

        def answered() -> bool:
            return sum(r.what == what and r.status > 0 for r in self._requests) >= count

        with self._changed:
            assert self._changed.wait_for(answered, _PATIENCE), f"no {count} answered {what}"

    def shut(self) -> None:
        """Refuse new connections and break the open ones."""
        with self._changed:
            self._is_shut = True
            broken = list(self._connections)
            self._changed.notify_all()
        for connection in broken:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let connections in again."""
        with self._changed:
            self._is_shut = False

    def close(self) -> None:
        """End for good."""
        self.shut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    # -- relaying ---------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._connections.add(connection)
                is_shut = self._is_shut
            if is_shut:
                self._drop(connection)
            else:
                threading.Thread(target=self._relay, args=(connection,), daemon=True).start()

    def _drop(self, connection: socket.socket) -> None:
        with self._changed:
            self._connections.discard(connection)
        connection.close()

    def _relay(self, client: socket.socket) -> None:
        server = None
        try:
            server = socket.create_connection(self._server)
            for each in (client, server):
                # Head and body go apart: Nagle would keep the second for 40 ms.
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._connections.add(server)
            with client.makefile("rb") as asking, server.makefile("rb") as answering:
                while self._pass_on(client, server, asking, answering):
                    pass
        except (OSError, ValueError):
            pass  # one side has gone; the other one finds out
        finally:
            self._drop(client)
            if server is not None:
                self._drop(server)

    def _pass_on(
        self, client: socket.socket, server: socket.socket, asking: BinaryIO, answering: BinaryIO
    ) -> bool:
        """Relay one request and its answer; False when the connection is over."""
        head = read_head(asking)
        if head is None:
            return False
        request = _parse(head)
        if self._delay and request.method not in ("GET", "HEAD"):
            time.sleep(self._delay)
        if not self._admit(request):
            return False
        return self._serve(request, head, client, server, asking, answering)

    def _serve(
        self,
        request: Request,
        head: bytes,
        client: socket.socket,
        server: socket.socket,
        asking: BinaryIO,
        answering: BinaryIO,
    ) -> bool:
        """Relay an admitted request, of which the head was read, and its answer."""
        server.sendall(head)
        for chunk in read_body(asking, head):
            server.sendall(chunk)
            request.sent += len(chunk)
        return self._answer(request, client, answering)

    def _admit(self, request: Request) -> bool:
        """Record the request, and hold it as long as it is to be held; False if it was cut off."""
        with self._changed:
            self._requests.append(request)
            self._holding += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_shut or not self._held(request))
            self._holding -= 1
            return not self._is_shut

    def _answer(self, request: Request, client: socket.socket, answering: BinaryIO) -> bool:
        head = read_head(answering)
        if head is None:
            return False
        client.sendall(head)
        status = int(head.split(b" ", 2)[1])
        has_body = request.method != "HEAD" and status not in (204, 304)
        for chunk in read_body(answering, head) if has_body else ():
            client.sendall(chunk)
            request.received += len(chunk)
        with self._changed:
            request.status = status
            self._changed.notify_all()
        return not re.search(rb"(?i)\r\nconnection: *close", head)


def read_head(stream: BinaryIO) -> bytes | None:
    """Return the start line and headers, their end included; None at the end of the stream."""
    lines = []
    while line := stream.readline():
        lines.append(line)
        if line == b"\r\n":
            return b"".join(lines)
    return None


def _parse(head: bytes) -> Request:
    first, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in rest if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    path, _, query = target.partition("?")
    return Request(method, unquote(path), query, headers)


def read_body(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    """Yield a body as it stands on the wire."""
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        yield from _chunked(stream)
        return
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    left = int(length[1]) if length else 0
    while left:
        chunk = stream.read(min(left, _CHUNK))
        if not chunk:
            raise ValueError("the body ended early")
        left -= len(chunk)
        yield chunk


def _chunked(stream: BinaryIO) -> Iterator[bytes]:
    size = 1
    while size:
        line = stream.readline()
        size = int(line.split(b";")[0], 16)
        yield line + stream.read(size + 2)


@contextmanager
def gate(endpoint: str) -> Iterator[Gate]:
    """Run a gate before *endpoint* for a block."""
    running = Gate(endpoint)
    try:
        yield running
    finally:
        running.close()
