"""What goes over the wire, what comes back, and what breaks on the way."""

import os
import ssl
from contextlib import nullcontext
from random import Random
from urllib.parse import unquote

import pytest
import trio
import trustme

from cognitofs.errors import (
    AccessDenied,
    AuthUnavailable,
    Changed,
    ClockSkew,
    ConfigError,
    Corrupted,
    NoSuchBucket,
    NotFound,
    PreconditionFailed,
    Rejected,
    ServerTrouble,
    SpoolDamaged,
    Throttled,
    Unreachable,
)
from cognitofs.store.checksums import checksum
from cognitofs.store.interface import (
    ETag,
    FileSlice,
    ObjectHeaders,
    ObjectInfo,
    PartReceipt,
    UploadId,
)
from cognitofs.store.keys import Keys
from cognitofs.store.s3 import S3Config, S3Store
from tests.scripted_http import Reply, ScriptedServer, reply, scripted_server

PREFIX = "private/us-east-1:0/"
PLAIN = ObjectHeaders(content_type="text/plain")
TAG = ETag('"tag"')
DATE = "Wed, 15 Nov 2023 00:00:00 GMT"
NOW = 1_700_006_400.0
STORED = reply(200, etag=TAG, date=DATE)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


class RenewableKeys:
    """Gives key-1 until it is invalidated, then key-2, and so on."""

    def __init__(self) -> None:
        self.number = 1

    def current(self) -> Keys:
        return Keys(f"key-{self.number}", f"secret-{self.number}", f"token-{self.number}")

    def invalidate(self, access_key: str) -> None:
        if access_key == f"key-{self.number}":
            self.number += 1


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def _store(endpoint: str, *, keys=None, patience=0.0, **more) -> S3Store:
    config = S3Config("bucket", "us-east-1", PREFIX, endpoint, patience=patience, **more)
    return S3Store(config, keys or RenewableKeys(), now=lambda: NOW, random=Random(1))


def _error(code: str, extra: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>said so</Message>{extra}</Error>".encode()


def _info(size: int = 10) -> ObjectInfo:
    return ObjectInfo("f", size, TAG, 0)


async def _ask(script: list[Reply], call, **how) -> ScriptedServer:
    """Run *call* on a store over a server with this script and return what was heard."""
    with scripted_server(script) as server:
        store = _store(server.endpoint, **how)
        try:
            await call(store)
        finally:
            store.close()
    return server


async def _put(store: S3Store) -> ObjectInfo:
    return await store.put("f", b"data", PLAIN, expect="absent")


async def test_a_put_says_all_that_it_must():
    server = await _ask([STORED], _put)
    (heard,) = server.heard
    assert heard.line == "PUT /bucket/private/us-east-1%3A0/f HTTP/1.1"
    assert heard.body == b"data"
    assert heard.headers["if-none-match"] == "*"
    assert heard.headers["x-amz-checksum-crc64nvme"] == checksum((b"data",))
    assert heard.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert heard.headers["x-amz-security-token"] == "token-1"
    assert heard.headers["content-length"] == "4"
    assert heard.headers["accept-encoding"] == "identity"
    assert heard.headers["user-agent"].startswith("cognitofs/")
    assert "transfer-encoding" not in heard.headers


async def test_modified_of_a_put_is_the_date_of_the_answer():
    with scripted_server([STORED]) as server:
        store = _store(server.endpoint)
        assert (await _put(store)).modified == int(NOW)
        store.close()


async def test_ten_thousand_random_keys_arrive_as_they_are_and_below_the_prefix():
    """What the server decodes is the prefix and the key, and no key goes elsewhere.

    Letters of every kind, dot segments among them; as target, and as the source of a copy.
    """
    random = Random(7)
    alphabet = "ab./\\%+ ~*'\"&=?;#:@!$,()[]{}<>|^`\n\t\x7fżé日\U0001f600"
    segments = ["..", ".", "", "a"]
    keys = ["".join(random.choices(alphabet, k=random.randint(1, 12))) for _ in range(10_000)]
    keys += ["/".join(random.choices(segments, k=random.randint(2, 5))) for _ in range(500)]
    sent, refused = [], []
    with scripted_server([reply(404)] * 3 * len(keys)) as server:
        store = _store(server.endpoint)
        for key in keys:
            try:
                await store.copy(ObjectInfo(key, 1, TAG, 0), key, expect="any", headers=PLAIN)
            except Rejected:
                refused.append(key)
            except Changed:
                sent.append(key)
        store.close()
    assert len(sent) > 9_000
    assert all(not key or {"..", "."} & set(key.split("/")) for key in refused)
    targets = [unquote(heard.line.split(" ")[1]) for heard in server.heard]
    sources = [unquote(heard.headers["x-amz-copy-source"]) for heard in server.heard]
    assert targets == [f"/bucket/{PREFIX}{key}" for key in sent]
    assert sources == [f"bucket/{PREFIX}{key}" for key in sent]


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken"])
async def test_expired_keys_are_renewed_and_even_a_commit_is_sent_again(code):
    keys = RenewableKeys()
    server = await _ask([reply(400, _error(code)), STORED], _put, keys=keys)
    assert [heard.headers["x-amz-security-token"] for heard in server.heard] == [
        "token-1",
        "token-2",
    ]
    assert [heard.body for heard in server.heard] == [b"data", b"data"]


async def test_a_bare_400_to_head_is_taken_for_expired_keys():
    found = reply(200, content_length="5", etag=TAG, last_modified=DATE)
    server = await _ask([reply(400), found], lambda store: store.head("f"))
    assert [heard.headers["x-amz-security-token"] for heard in server.heard] == [
        "token-1",
        "token-2",
    ]


async def test_keys_that_stay_expired_are_not_renewed_for_ever():
    script = [reply(400, _error("ExpiredToken"))] * 5
    with scripted_server(script) as server:
        store = _store(server.endpoint)
        with pytest.raises(AuthUnavailable, match="clock"):
            await _put(store)
        store.close()
    assert len(server.heard) == 2


async def test_a_bare_400_that_stays_is_a_refusal():
    with pytest.raises(Rejected):
        await _ask([reply(400)] * 5, lambda store: store.head("f"))


async def test_a_commit_is_sent_once_whatever_the_trouble():
    for answer, error in [
        (reply(500, _error("InternalError")), ServerTrouble),
        (reply(503, _error("SlowDown")), Throttled),
        (Reply(b"", hangs_up=True), Unreachable),
    ]:
        with scripted_server([answer, STORED]) as server:
            store = _store(server.endpoint, patience=60.0)
            with pytest.raises(error):
                await _put(store)
            store.close()
        assert len(server.heard) == 1


async def test_a_repeatable_call_is_repeated_until_it_works(autojump_clock):
    found = reply(200, content_length="5", etag=TAG, last_modified=DATE)
    script = [reply(503), Reply(b"", hangs_up=True), reply(500), found]
    server = await _ask(script, lambda store: store.head("f"), patience=60.0)
    assert len(server.heard) == 4


async def test_patience_ends(autojump_clock):
    started = trio.current_time()
    with pytest.raises(Throttled):
        await _ask([reply(503)] * 1000, lambda store: store.head("f"), patience=20.0)
    assert trio.current_time() - started <= 20.0


async def test_a_connection_that_the_server_has_closed_does_not_fail_the_next_commit():
    with scripted_server([reply(200, etag=TAG, hangs_up=True), STORED]) as server:
        store = _store(server.endpoint)
        await _put(store)
        await trio.to_thread.run_sync(server.hung_up.wait)
        await _put(store)
        store.close()
    assert server.connections == 2


async def test_connections_are_kept():
    listing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    script = [STORED, reply(404), reply(200, listing), STORED]

    async def calls(store):
        await _put(store)
        with pytest.raises(NotFound):
            await store.head("f")
        await store.list_page("")
        await _put(store)

    assert (await _ask(script, calls)).connections == 1


async def test_a_refused_connection_says_what_to_check():
    with scripted_server([]) as server:
        endpoint = server.endpoint
    store = _store(endpoint)
    with pytest.raises(Unreachable, match="cannot be reached"):
        await _put(store)


@pytest.mark.parametrize(
    ("status", "body", "headers", "error"),
    [
        (403, _error("AccessDenied"), {}, AccessDenied),
        (403, _error("RequestTimeTooSkewed"), {}, ClockSkew),
        (404, _error("NoSuchBucket"), {}, NoSuchBucket),
        (301, _error("PermanentRedirect"), {"x_amz_bucket_region": "eu-west-2"}, NoSuchBucket),
        (
            400,
            _error("AuthorizationHeaderMalformed", "<Region>eu-west-2</Region>"),
            {},
            NoSuchBucket,
        ),
        (400, _error("BadDigest"), {}, Corrupted),
        (412, _error("PreconditionFailed"), {}, PreconditionFailed),
        (502, b"<html>bad gateway</html>", {}, ServerTrouble),
        (418, b"", {}, Rejected),
    ],
)
async def test_a_refusal_has_its_class_and_names_operation_and_key(status, body, headers, error):
    with pytest.raises(error) as caught:
        await _ask([reply(status, body, **headers)], _put)
    text = str(caught.value)
    assert "PutObject" in text
    assert "'f'" in text
    assert "us-east-1:0" not in text
    assert "secret" not in text
    if error is NoSuchBucket and "NoSuchBucket" not in text:
        assert "eu-west-2" in text


async def test_a_bare_403_from_a_server_with_another_time_is_a_skewed_clock():
    answer = reply(403, date="Wed, 15 Nov 2023 01:00:00 GMT")
    with pytest.raises(ClockSkew):
        await _ask([answer], lambda store: store.head("f"))


@pytest.mark.parametrize("key", ["source", "f"])
async def test_a_200_may_carry_an_error(key):
    script = [reply(200, b"  " + _error("InternalError")), reply(404)]
    with pytest.raises(ServerTrouble):
        await _ask(
            script,
            lambda store: store.copy(ObjectInfo(key, 1, TAG, 0), "f", expect="any", headers=PLAIN),
        )
    receipt = PartReceipt(1, TAG, 4, checksum((b"data",)))
    with pytest.raises(ServerTrouble):
        await _ask(
            [reply(200, b"\n" + _error("InternalError"))],
            lambda store: store.complete_upload("f", UploadId("u"), [receipt], expect="any"),
        )


async def test_complete_sends_and_compares_the_checksum_of_the_whole():
    parts = [
        PartReceipt(1, TAG, 4, checksum((b"data",))),
        PartReceipt(2, TAG, 3, checksum((b"end",))),
    ]

    def done(total: str) -> Reply:
        text = f'<ETag>"x-2"</ETag><ChecksumCRC64NVME>{total}</ChecksumCRC64NVME>'
        body = f"<CompleteMultipartUploadResult>{text}</CompleteMultipartUploadResult>"
        return reply(200, body.encode())

    def complete(store):
        return store.complete_upload("f", UploadId("u"), parts, expect="absent")

    server = await _ask([done(checksum((b"dataend",)))], complete)
    (heard,) = server.heard
    assert heard.headers["x-amz-checksum-crc64nvme"] == checksum((b"dataend",))
    assert heard.headers["x-amz-mp-object-size"] == "7"
    assert heard.headers["if-none-match"] == "*"
    with pytest.raises(Corrupted):
        await _ask([done(checksum((b"damaged",)))], complete)


async def test_another_checksum_than_was_sent_is_corruption():
    with pytest.raises(Corrupted):
        await _ask([reply(200, etag=TAG, x_amz_checksum_crc64nvme="AAAAAAAAAAA=")], _put)


async def test_a_part_receipt_has_the_checksum_that_s3_returned(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"0123456789")
    total = checksum((b"34567",))
    fd = os.open(path, os.O_RDONLY)
    with scripted_server([reply(200, etag=TAG, x_amz_checksum_crc64nvme=total)]) as server:
        store = _store(server.endpoint)
        receipt = await store.upload_part("f", UploadId("u"), 7, FileSlice(fd, 3, 8))
        store.close()
    os.close(fd)
    assert receipt == PartReceipt(7, TAG, 5, total)
    assert server.heard[0].body == b"34567"
    assert server.heard[0].line.split(" ")[1].endswith("?partNumber=7&uploadId=u")


async def test_a_body_file_that_is_too_short_is_damage_of_the_spool(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"0123")
    with path.open("rb") as file, pytest.raises(SpoolDamaged):
        await _ask(
            [STORED],
            lambda store: store.put("f", FileSlice(file.fileno(), 0, 9), PLAIN, expect="any"),
        )


@pytest.mark.parametrize(
    ("status", "body", "headers", "error"),
    [
        (206, b"34567", {"content_range": "bytes 3-7/10"}, None),
        (206, b"45678", {"content_range": "bytes 4-8/10"}, Corrupted),
        (206, b"34567", {"content_range": "bytes 3-7/11"}, Corrupted),
        (206, b"345", {"content_range": "bytes 3-7/10"}, Corrupted),
        (206, b"34567", {}, Corrupted),
        (200, b"34567", {"content_range": "bytes 3-7/10"}, Corrupted),
        (206, b"34567", {"content_range": "bytes 3-7/10", "etag": '"other"'}, Changed),
        (206, b"345", {"content_range": "bytes 3-7/10", "content_length": "5"}, Unreachable),
        (412, b"", {}, Changed),
        (404, b"", {}, Changed),
    ],
)
async def test_only_the_range_that_was_asked_is_accepted(tmp_path, status, body, headers, error):
    answer = reply(status, body, hangs_up=True, **{"etag": TAG, **headers})
    with (tmp_path / "target").open("w+b") as target:

        async def read_into(store):
            await store.read_into(_info(), 3, 8, target.fileno())

        async def read(store):
            assert await store.read(_info(), 3, 8) == b"34567"

        for call in (read, read_into):
            with pytest.raises(error) if error else nullcontext():
                await _ask([answer], call)
        if error is None:
            assert os.pread(target.fileno(), 9, 0) == b"\0\0\x0034567"


async def test_a_whole_object_is_compared_with_its_checksum(tmp_path):
    def whole(data: bytes) -> Reply:
        return reply(200, data, etag=TAG, x_amz_checksum_crc64nvme=checksum((b"0123456789",)))

    with scripted_server([whole(b"0123456789")]) as server:
        store = _store(server.endpoint)
        assert await store.read(_info(), 0, 10) == b"0123456789"
        store.close()
    assert server.heard[0].headers["x-amz-checksum-mode"] == "ENABLED"
    assert server.heard[0].headers["if-match"] == TAG
    assert "range" not in server.heard[0].headers
    with pytest.raises(Corrupted):
        await _ask([whole(b"0123456780")], lambda store: store.read(_info(), 0, 10))
    with (tmp_path / "target").open("w+b") as target, pytest.raises(Corrupted):
        await _ask(
            [whole(b"0123456780")],
            lambda store: store.read_into(_info(), 0, 10, target.fileno()),
        )


async def test_a_checksum_of_checksums_is_not_compared():
    answer = reply(200, b"0123456789", etag=TAG, x_amz_checksum_crc64nvme="AAAAAAAAAAA=-2")
    await _ask([answer], lambda store: store.read(_info(), 0, 10))


async def test_a_listing_with_a_foreign_key_is_refused():
    body = (
        b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>private/other/f</Key>"
        b"<Size>1</Size><ETag>x</ETag><LastModified>2023-11-15T00:00:00Z</LastModified></Contents>"
        b"</ListBucketResult>"
    )
    with pytest.raises(Rejected, match="outside"):
        await _ask([reply(200, body)], lambda store: store.list_page(""))


async def test_a_listing_that_is_no_listing_is_trouble():
    for body in (b"<html/>", b"<ListBucketResult>", b""):
        with pytest.raises(ServerTrouble):
            await _ask([reply(200, body)], lambda store: store.list_page(""))


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
        wrong = _store(endpoint, ca_bundle=str(bundles["wrong"]))
        with pytest.raises(Unreachable, match="ca_bundle"):
            await _put(wrong)
        right = _store(endpoint, ca_bundle=str(bundles["right"]))
        assert (await _put(right)).etag == TAG
        right.close()
    assert len(server.heard) == 1


async def test_a_missing_ca_bundle_is_a_mistake_of_the_configuration(tmp_path):
    with pytest.raises(ConfigError, match="ca_bundle"):
        _store("https://127.0.0.1:1", ca_bundle=str(tmp_path / "none"))


async def test_plain_http_goes_through_a_proxy_of_this_machine(monkeypatch):
    with scripted_server([STORED]) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:word@127.0.0.1:{proxy.port}")
        store = _store("http://127.0.0.1:9")
        await _put(store)
        store.close()
    (heard,) = proxy.heard
    assert heard.line == "PUT http://127.0.0.1:9/bucket/private/us-east-1%3A0/f HTTP/1.1"
    assert heard.headers["host"] == "127.0.0.1:9"
    assert heard.headers["proxy-authorization"] == "Basic dXNlcjp3b3Jk"


async def test_tls_goes_through_a_tunnel(monkeypatch):
    refusing = Reply(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", hangs_up=True)
    with scripted_server([refusing]) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        store = _store("https://s3.example:9443")
        with pytest.raises(Unreachable, match=r"proxy 127\.0\.0\.1"):
            await _put(store)
    (heard,) = proxy.heard
    assert heard.line.startswith("CONNECT s3.example:9443 ")
    assert "authorization" not in heard.headers


async def test_no_proxy_is_honoured_and_plain_http_never_leaves_by_one(monkeypatch):
    for proxy, bypass in (("http://127.0.0.1:9", "127.0.0.1"), ("http://proxy.example:9", "")):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", bypass)
        await _ask([STORED], _put)
