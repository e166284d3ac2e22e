"""Loopback: waits on this machine for the browser to come back with the answer of a sign-in.

Owns the listening sockets and what the browser gets to see. Which answer is right is decided by
`browser.py`; the page is `landing.py`. Source: RFC 8252, section 7.3.

INVARIANT: bound to loopback addresses only, and nothing of a request is ever logged: its first line
holds the code.
"""

import contextlib
import hmac
import http.server
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from cognitofs.auth import landing
from cognitofs.errors import ConfigError, SignInRefused

# How long a browser waits for its page while the code is exchanged: more than that takes.
_VERDICT_SECONDS = 60.0
_REQUEST_SECONDS = 10.0


@dataclass(slots=True)
class _Talk:
    """What the sockets' threads and the waiting one tell each other."""

    path: str
    state: str
    answer: Mapping[str, str] = field(default_factory=dict)
    page: bytes = b""
    status: int = 400
    answered: threading.Event = field(default_factory=threading.Event)
    judged: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, answer: Mapping[str, str]) -> bool:
        """Keep *answer* if it is the first; return whether it is."""
        with self.lock:
            if self.answered.is_set():
                return False
            self.answer = answer
            self.answered.set()
            return True


class Loopback:
    """One answer, once. Made by `listening`."""

    def __init__(self, talk: _Talk) -> None:
        self._talk = talk

    def wait(self, seconds: float) -> Mapping[str, str]:
        """Return the parameters of the redirect. Raises SignInRefused after *seconds*."""
        if not self._talk.answered.wait(seconds):
            raise SignInRefused(
                "The browser did not come back in time; run the command again. If it showed an "
                "error about the redirect, ask your administrator to list the `oauth_redirect` of "
                "the profile in the app client, letter for letter."
            )
        return self._talk.answer

    def show(self, page: bytes, *, is_good: bool) -> None:
        """Let the browser that came back show *page*."""
        self._talk.page, self._talk.status = page, 200 if is_good else 400
        self._talk.judged.set()


@contextlib.contextmanager
def listening(redirect: str, state: str) -> Iterator[Loopback]:
    """Listen at *redirect* (http://localhost:PORT/PATH) for the answer to *state*.

    Raises ConfigError when the port cannot be had.
    """
    parts = urlsplit(redirect)
    talk = _Talk(parts.path or "/", state)
    servers = _servers(parts.port or 0, talk)
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        yield Loopback(talk)
    finally:
        talk.judged.set()
        for server in servers:
            server.shutdown()
            server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    # The page must have left before the command goes on.
    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True


class _Server6(_Server):
    address_family = socket.AF_INET6


def _servers(port: int, talk: _Talk) -> list[_Server]:
    """Return servers for both addresses that a browser may take "localhost" for."""
    handler = _handler(talk)
    try:
        servers: list[_Server] = [_Server(("127.0.0.1", port), handler)]
    except OSError as exc:
        raise ConfigError(
            f"The browser cannot come back to port {port} of this machine ({exc.strerror}); end "
            "the program that uses it, or use --no-browser."
        ) from exc
    with contextlib.suppress(OSError):  # a machine without IPv6
        servers.append(_Server6(("::1", port), handler))
    return servers


def _handler(talk: _Talk) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = _REQUEST_SECONDS
        server_version = "cognitofs"
        sys_version = ""

        def log_message(self, *_: object) -> None:
            """Log nothing: the request holds the code."""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            if parts.path != talk.path:
                self._send(404, landing.failure_page("There is nothing at this address."))
            elif not hmac.compare_digest(query.get("state", "").encode(), talk.state.encode()):
                # Not an answer to our question: somebody else's, or a forgery. Keep waiting.
                self._send(400, landing.failure_page(_FOREIGN))
            elif not talk.take(query):
                self._send(400, landing.failure_page("This sign-in was answered already."))
            else:
                talk.judged.wait(_VERDICT_SECONDS)
                self._send(talk.status, talk.page or landing.failure_page(_UNKNOWN))

        def _send(self, status: int, page: bytes) -> None:
            self.send_response(status)
            for name, value in landing.HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(page)

    return Handler


_FOREIGN = "This answer does not belong to the sign-in that is waiting, so it was not used."
_UNKNOWN = "The sign-in was left before it had finished."
