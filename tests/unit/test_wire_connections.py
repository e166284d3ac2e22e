"""Connections: kept, closed, refused, encrypted, by proxy."""

import ssl

import pytest
import trio
import trustme

from cognitofs.errors import (
    ConfigError,
    NotFound,
    Unreachable,
)
from tests.scripted_http import Reply, reply, scripted_server
from tests.unit.scripted_store import STORED, TAG, ask, put, store_at


async def test_a_connection_that_the_server_has_closed_does_not_fail_the_next_commit():
    with scripted_server([reply(200, etag=TAG, hangs_up=True), STORED]) as server:
        store = store_at(server.endpoint)
        await put(store)
        await trio.to_thread.run_sync(server.hung_up.wait)
        await put(store)
        store.close()
    assert server.connections == 2


async def test_connections_are_kept():
    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    script = [STORED, reply(404), reply(200, listing), STORED]

    async def calls(store):
        await put(store)
        with pytest.raises(NotFound):
            await store.head("f")
        await store.list_page("")
        await put(store)

    assert (await ask(script, calls)).connections == 1


async def test_a_refused_connection_says_what_to_check():
    with scripted_server([]) as server:
        endpoint = server.endpoint
    store = store_at(endpoint)
    with pytest.raises(Unreachable, match="cannot be reached"):
        await put(store)


async def test_tls_needs_a_certificate_that_the_bundle_knows(tmp_path):
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundles = {}
    for name, ca in (("right", authority), ("wrong", stranger)):
        bundles[name] = tmp_path / name
        ca.cert_pem.write_to_path(bundles[name])
    with scripted_server([STORED], context) as server:
        endpoint = f"https://127.0.0.1:{server.port}"
        wrong = store_at(endpoint, ca_bundle=str(bundles["wrong"]))
        with pytest.raises(Unreachable, match="ca_bundle"):
            await put(wrong)
        right = store_at(endpoint, ca_bundle=str(bundles["right"]))
        assert (await put(right)).etag == TAG
        right.close()
    assert len(server.heard) == 1


async def test_a_missing_ca_bundle_is_a_mistake_of_the_configuration(tmp_path):
    with pytest.raises(ConfigError, match="ca_bundle"):
        store_at("https://127.0.0.1:1", ca_bundle=str(tmp_path / "none"))


async def test_plain_http_goes_through_a_proxy_of_this_machine(monkeypatch):
    with scripted_server([STORED]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{proxy.port}")
        store = store_at("http://127.0.0.1:9")
        await put(store)
        store.close()
    (heard,) = proxy.heard
    assert heard.line == "PUT http://127.0.0.1:9/bucket/private/us-east-1%3A0/f HTTP/1.1"
    assert heard.headers["host"] == "127.0.0.1:9"
    assert heard.headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"


async def test_tls_goes_through_a_tunnel(monkeypatch):
    refusing = Reply(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", hangs_up=True)
    with scripted_server([refusing]) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        store = store_at("https://s3.example:9443")
        with pytest.raises(Unreachable, match=r"proxy 127\.0\.0\.1"):
            await put(store)
    (heard,) = proxy.heard
    assert heard.line.startswith("CONNECT s3.example:9443 ")
    assert "authorization" not in heard.headers


async def test_no_proxy_is_honoured_and_plain_http_never_leaves_by_one(monkeypatch):
    for proxy, bypass in (("http://127.0.0.1:9", "127.0.0.1"), ("http://proxy.example:9", "")):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", bypass)
        await ask([STORED], put)
