"""Wire: signed requests over a pool of connections. Synchronous; called in worker threads.

Owns sockets, TLS, proxies and time limits, and translates what goes wrong with them. It knows no
operation of S3 and never repeats a request. A pooled connection that the server has closed is
noticed before a request is sent on it (urllib3 asks the socket), so that only a close in that
very moment makes a request ambiguous.

INVARIANT: a request body is never in memory as a whole unless it came so.
"""

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.util import Timeout, make_headers

from cognitofs import __version__
from cognitofs.errors import ConfigError, ServerTrouble, Unreachable
from cognitofs.store.bandwidth import Bandwidth, Bucket
from cognitofs.store.bodies import BLOCK, blocks, size_of
from cognitofs.store.endpoints import Endpoint, is_loopback
from cognitofs.store.keys import Keys
from cognitofs.store.requests import Request, encode_key, encode_query
from cognitofs.store.signing import sign

CONNECT_SECONDS = 6.0
STALL_SECONDS = 60.0
"""How long one receive, or sending one block, may take."""
DOCUMENT_BYTES = 16 * 1024 * 1024
"""Limit of an answer that is read whole: 1,000 keys of 1,024 encoded bytes have 4 MiB."""


class _PatientHTTP(HTTPConnection):
    """urllib3 sends under the connect timeout; a block on a slow line needs longer."""

    def send(self, data: object) -> None:
        if self.sock is not None:
            self.sock.settimeout(STALL_SECONDS)
        super().send(data)  # type: ignore[arg-type]  # passed on as it came


class _PatientHTTPS(HTTPSConnection):
    """As `_PatientHTTP`."""

    def send(self, data: object) -> None:
        if self.sock is not None:
            self.sock.settimeout(STALL_SECONDS)
        super().send(data)  # type: ignore[arg-type]  # passed on as it came


class WireAnswer:
    """One answer while it is being read. Valid inside `Wire.exchange` only."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, down: Bucket) -> None:
        self._raw = raw
        self._down = down
        self.status = raw.status
        self.headers: Mapping[str, str] = MappingProxyType(
            {name.lower(): value for name, value in raw.headers.items()}
        )

    def read(self, limit: int = DOCUMENT_BYTES) -> bytes:
        """Return the whole body. Raises ServerTrouble when it has more than *limit* bytes."""
        body = self._raw.read(limit + 1, decode_content=False)
        if len(body) > limit:
            self._raw.close()
            raise ServerTrouble(
                f"The server sent more than the {limit} bytes it may. Is the endpoint really S3?"
            )
        return body

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield the first *size* bytes of the body in blocks; fewer if it ends before."""
        while size > 0:
            block = self._raw.read(min(BLOCK, size), decode_content=False)
            if not block:
                return
            size -= len(block)
            self._down.take(len(block))
            yield block


class Wire:
    """The connections to one endpoint. Safe to use from many threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connections: int,
        ca_bundle: str = "",
        bandwidth: Bandwidth | None = None,
        now: Callable[[], float],
    ) -> None:
        """Open nothing yet. *connections* are kept; *ca_bundle* is a PEM file.

        Raises ConfigError when the CA bundle or the environment's proxy cannot be used.
        """
        self._endpoint = endpoint
        self._bandwidth = bandwidth or Bandwidth()
        self._now = now
        self._proxy = _proxy_of(endpoint)
        self._pool = _pool(endpoint, self._proxy, connections, ca_bundle)
        # A forward proxy of plain http wants the whole URL; TLS goes through a tunnel.
        is_forwarded = bool(self._proxy) and endpoint.scheme == "http"
        self._base = f"http://{endpoint.authority}" if is_forwarded else ""

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()

    @contextmanager
    def exchange(self, request: Request, keys: Keys) -> Iterator[WireAnswer]:
        """Send *request*, signed with *keys*, and give the answer, whatever its status.

        Raises Unreachable, SpoolDamaged (from the body).
        """
        with self._translated(request):
            raw = self._send(request, keys)
            try:
                yield WireAnswer(raw, self._bandwidth.down)
            except BaseException:
                raw.close()
                raise
            else:
                _finish(raw)

    def _send(self, request: Request, keys: Keys) -> urllib3.BaseHTTPResponse:
        path, query = target_of(self._endpoint, request)
        headers = sign(
            request.method,
            path,
            query,
            {**request.headers, "host": self._endpoint.authority},
            keys=keys,
            region=self._endpoint.region,
            now=self._now(),
        )
        headers["user-agent"] = f"cognitofs/{__version__}"
        if request.method in ("PUT", "POST"):
            headers["content-length"] = str(size_of(request.body))
        has_body = size_of(request.body) > 0
        return self._pool.urlopen(
            request.method,
            f"{self._base}{path}?{query}" if query else f"{self._base}{path}",
            body=self._bandwidth.up.pieces(blocks(request.body)) if has_body else None,
            headers=headers,
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=False,
            decode_content=False,
        )

    @contextmanager
    def _translated(self, request: Request) -> Iterator[None]:
        try:
            yield
        except (HTTPError, OSError, ssl.SSLError) as exc:
            raise Unreachable(self._sentence(request, exc)) from exc

    def _sentence(self, request: Request, exc: Exception) -> str:
        host = self._endpoint.host
        if isinstance(exc, ProxyError):
            return f"The proxy {_host_of(self._proxy)} did not connect us to {host}. Check it."
        if isinstance(exc, SSLError | ssl.SSLError):
            return (
                f"{host} could not prove who it is ({_reason(exc)}). If it has a certificate of "
                "its own, set ca_bundle; else somebody may be listening."
            )
        if isinstance(exc, NameResolutionError):
            return f"The name {host} is not known. Check the network and the endpoint."
        if isinstance(exc, NewConnectionError | ConnectTimeoutError):
            return f"{host} port {self._endpoint.port} cannot be reached. Check the network."
        return (
            f"The connection to {host} broke during {request.operation} ({_reason(exc)}). "
            "Check the network; it is tried again."
        )


def target_of(endpoint: Endpoint, request: Request) -> tuple[str, str]:
    """Return path and query as they are signed and sent."""
    key = f"/{encode_key(request.key)}" if request.key else ""
    return f"{endpoint.path}{key}" or "/", encode_query(request.query)


def _finish(raw: urllib3.BaseHTTPResponse) -> None:
    """Give the connection back if the answer was read to its end, else close it."""
    if raw.length_remaining == 0:
        raw.drain_conn()
    else:
        raw.close()
    raw.release_conn()


def _reason(exc: Exception) -> str:
    return type(exc).__name__


def _pool(
    endpoint: Endpoint, proxy: str, connections: int, ca_bundle: str
) -> urllib3.HTTPConnectionPool:
    owner = _proxied(proxy) if proxy else urllib3.PoolManager(num_pools=1)
    context: dict[str, object] = {
        "maxsize": connections,
        "timeout": Timeout(connect=CONNECT_SECONDS, read=STALL_SECONDS),
    }
    if endpoint.scheme == "https":
        context["ssl_context"] = _tls(ca_bundle)
    pool = owner.connection_from_host(endpoint.host, endpoint.port, endpoint.scheme, context)
    pool.ConnectionCls = _PatientHTTPS if endpoint.scheme == "https" else _PatientHTTP
    return pool


def _proxied(proxy: str) -> urllib3.ProxyManager:
    parts = urlsplit(proxy)
    login = f"{parts.username}:{parts.password or ''}" if parts.username else None
    try:
        return urllib3.ProxyManager(
            f"{parts.scheme or 'http'}://{parts.netloc.rpartition('@')[2]}",
            proxy_headers=make_headers(proxy_basic_auth=login),
            num_pools=1,
        )
    except (LocationParseError, urllib3.exceptions.ProxySchemeUnknown) as exc:
        raise ConfigError(
            "The proxy of the environment (HTTPS_PROXY or HTTP_PROXY) is not a URL. Correct it."
        ) from exc


def _tls(ca_bundle: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_bundle or None)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(
            f"ca_bundle {ca_bundle!r} cannot be read as PEM certificates. Correct the path."
        ) from exc


def _proxy_of(endpoint: Endpoint) -> str:
    """Return the environment's proxy for *endpoint*, "" for none.

    Plain http stays on this machine, so a proxy elsewhere is not used for it.
    """
    proxy = getproxies().get(endpoint.scheme, "")
    if not proxy or proxy_bypass(f"{endpoint.host}:{endpoint.port}"):
        return ""
    if endpoint.scheme == "http" and not is_loopback(_host_of(proxy)):
        return ""
    return proxy


def _host_of(proxy: str) -> str:
    return urlsplit(proxy).hostname or ""
