"""An HTTP server that says exactly what a test scripts, byte by byte, and keeps what it heard."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reply:
    """Bytes to answer with; b"" answers nothing. *hangs_up* closes the connection afterwards."""

    data: bytes
    hangs_up: bool = False


@dataclass
class Heard:
    """One request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """Answers the n-th request with the n-th reply, on however many connections."""

    port: int
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    hung_up: threading.Event = field(default_factory=threading.Event)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def reply(status: int, body: bytes = b"", *, hangs_up: bool = False, **headers: str) -> Reply:
    """Return a whole answer; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named.setdefault("content-length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return Reply(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body, hangs_up)


@contextmanager
def scripted_server(
    replies: Sequence[Reply], tls: ssl.SSLContext | None = None
) -> Iterator[ScriptedServer]:
    """Serve *replies* until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ScriptedServer(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, server, iter(replies), tls))
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(
    listener: socket.socket,
    server: ScriptedServer,
    replies: Iterator[Reply],
    tls: ssl.SSLContext | None,
) -> None:
    talks = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            break
        server.connections += 1
        talk = threading.Thread(target=_talk, args=(connection, server, replies, tls))
        talk.start()
        talks.append((connection, talk))
    for connection, talk in talks:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        talk.join()


def _talk(
    connection: socket.socket,
    server: ScriptedServer,
    replies: Iterator[Reply],
    tls: ssl.SSLContext | None,
) -> None:
    with connection:
        try:
            talked = tls.wrap_socket(connection, server_side=True) if tls else connection
            with talked, talked.makefile("rb") as stream:
                while (heard := _hear(stream)) is not None:
                    server.heard.append(heard)
                    answer = next(replies, None)
                    if answer is None:
                        break
                    talked.sendall(answer.data)
                    if answer.hangs_up:
                        break
        except OSError:
            pass
    server.hung_up.set()


def _hear(stream: object) -> Heard | None:
    line = stream.readline().decode("latin-1").rstrip("\r\n")
    if not line:
        return None
    headers = {}
    while text := stream.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return Heard(line, headers, stream.read(int(headers.get("content-length", "0"))))
