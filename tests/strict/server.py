"""The strict server: S3's protocol over the rules of `cognitofs.testing.Bucket`, on loopback.

What MemoryStore decides for tests without a network, it decides for a real mount and for boto3:
conditions on every commit, checksums, signatures, markers with metadata, keys of any letters.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from tests.strict.conversation import Call, Refused, Reply, refusal
from tests.strict.operations import Operations
from tests.strict.signature import check_signature

ACCESS_KEY, SECRET_KEY = "strict-key", "strict-secret"


class StrictServer(ThreadingHTTPServer):
    """One server; `operations` holds its buckets."""

    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.operations = Operations()
        self.numbers = count(1)
        self._open: set[socket.socket] = set()

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.server_port}"

    def process_request(self, request, client_address) -> None:
        """Remember the connection: clients keep theirs open, and the end must not wait."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request) -> None:
        """Forget the connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address) -> None:
        """Say nothing of clients that went away; what goes wrong here is answered with 500."""

    def hang_up(self) -> None:
        """End all conversations."""
        for each in tuple(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextmanager
def running() -> Iterator[StrictServer]:
    """Run a server for a block."""
    with StrictServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.hang_up()


class _Conversation(BaseHTTPRequestHandler):
    """One connection."""

    server: StrictServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def _answer(self) -> None:
        reply = self._reply()
        self.send_response(reply.status)
        self.send_header("x-amz-request-id", f"{next(self.server.numbers):016X}")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 204:
            size = len(reply.body) if reply.length is None else reply.length
            self.send_header("content-length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # noqa: N815 - http.server's names

    def handle_expect_100(self) -> bool:
        """Tell the client at once to go on: boto3 waits a second for it."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def _reply(self) -> Reply:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self.command in ("PUT", "POST") and "content-length" not in headers:
            return refusal(411, "MissingContentLength", "How long is the body?")
        body = self.rfile.read(int(headers.get("content-length", "0")))
        call = Call(self.command, path, query, headers, body)
        try:
            check_signature(call, ACCESS_KEY, SECRET_KEY)
            return self.server.operations.answer(call)
        except Refused as exc:
            return refusal(exc.status, exc.code, str(exc))
        except Exception as exc:  # noqa: BLE001 - a fault of this server must not look like a hang
            return refusal(500, "InternalError", repr(exc))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
