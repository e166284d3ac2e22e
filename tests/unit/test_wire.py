"""What is sent, how often, and what a refusal means."""

from random import Random
from urllib.parse import unquote

import pytest
import trio

from cognitofs.errors import (
    AccessDenied,
    AuthUnavailable,
    Changed,
    ClockSkew,
    Corrupted,
    KeysRefused,
    NoSuchBucket,
    PreconditionFailed,
    Rejected,
    ServerTrouble,
    Throttled,
    Unreachable,
)
from cognitofs.store.checksums import checksum
from cognitofs.store.interface import ObjectInfo, PartReceipt, UploadId
from tests.scripted_http import Reply, reply, scripted_server
from tests.unit.scripted_store import (
    DATE,
    NOW,
    PLAIN,
    PREFIX,
    STORED,
    TAG,
    RenewableKeys,
    ask,
    error_body,
    info_of,
    put,
    store_at,
)


async def test_a_put_says_all_that_it_must():
    server = await ask([STORED], put)
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
        store = store_at(server.endpoint)
        assert (await put(store)).modified == int(NOW)
        store.close()


@pytest.mark.parametrize("many", [1_000, pytest.param(10_000, marks=pytest.mark.reliability)])
async def test_random_keys_arrive_as_they_are_and_below_the_prefix(many):
    """What the server decodes is the prefix and the key, and no key goes elsewhere.

    Letters of every kind, dot segments among them; as target, and as the source of a copy.
    """
    random = Random(7)
    alphabet = "ab./\\%+ ~*'\"&=?;#:@!$,()[]{}<>|^`\n\t\x7fżé日\U0001f600"
    segments = ["..", ".", "", "a"]
    keys = ["".join(random.choices(alphabet, k=random.randint(1, 12))) for _ in range(many)]
    keys += ["/".join(random.choices(segments, k=random.randint(2, 5))) for _ in range(500)]
    sent, refused = [], []
    with scripted_server([reply(404)] * 3 * len(keys)) as server:
        store = store_at(server.endpoint)
        for key in keys:
            try:
                await store.copy(ObjectInfo(key, 1, TAG, 0), key, expect="any", headers=PLAIN)
            except Rejected:
                refused.append(key)
            except Changed:
                sent.append(key)
        store.close()
    assert len(sent) > 0.9 * many
    assert all(not key or {"..", "."} & set(key.split("/")) for key in refused)
    targets = [unquote(heard.line.split(" ")[1]) for heard in server.heard]
    sources = [unquote(heard.headers["x-amz-copy-source"]) for heard in server.heard]
    assert targets == [f"/bucket/{PREFIX}{key}" for key in sent]
    assert sources == [f"bucket/{PREFIX}{key}" for key in sent]


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId"])
async def test_expired_keys_are_renewed_and_even_a_commit_is_sent_again(code):
    keys = RenewableKeys()
    server = await ask([reply(400, error_body(code)), STORED], put, keys=keys)
    assert [heard.headers["x-amz-security-token"] for heard in server.heard] == [
        "token-1",
        "token-2",
    ]
    assert [heard.body for heard in server.heard] == [b"data", b"data"]


async def test_a_bare_400_to_head_is_taken_for_expired_keys():
    found = reply(200, content_length="5", etag=TAG, last_modified=DATE)
    server = await ask([reply(400), found], lambda store: store.head("f"))
    assert [heard.headers["x-amz-security-token"] for heard in server.heard] == [
        "token-1",
        "token-2",
    ]


async def test_keys_that_stay_expired_are_not_renewed_for_ever():
    script = [reply(400, error_body("ExpiredToken"))] * 5
    with scripted_server(script) as server:
        store = store_at(server.endpoint)
        with pytest.raises(AuthUnavailable, match="clock"):
            await put(store)
        store.close()
    assert len(server.heard) == 2


async def test_keys_that_stay_unknown_are_a_refusal():
    with pytest.raises(KeysRefused, match="Sign in again"):
        await ask([reply(403, error_body("InvalidAccessKeyId"))] * 5, put)


async def test_a_bare_400_that_stays_is_a_refusal():
    with pytest.raises(Rejected):
        await ask([reply(400)] * 5, lambda store: store.head("f"))


async def test_a_commit_is_sent_once_whatever_the_trouble():
    for answer, error in [
        (reply(500, error_body("InternalError")), ServerTrouble),
        (reply(503, error_body("SlowDown")), Throttled),
        (Reply(b"", hangs_up=True), Unreachable),
    ]:
        with scripted_server([answer, STORED]) as server:
            store = store_at(server.endpoint, patience=60.0)
            with pytest.raises(error):
                await put(store)
            store.close()
        assert len(server.heard) == 1


@pytest.mark.parametrize(
    "commit",
    [
        lambda store: store.complete_upload(
            "f", UploadId("u"), (PartReceipt(1, TAG, 4, ""),), expect="absent"
        ),
        lambda store: store.copy(info_of(), "g", expect="absent", headers=None),
        lambda store: store.delete("f", expect=TAG),
    ],
    ids=["complete", "copy", "delete"],
)
async def test_a_commit_without_an_answer_is_not_sent_again(commit):
    with scripted_server([Reply(b"", hangs_up=True), STORED]) as server:
        store = store_at(server.endpoint, patience=60.0)
        with pytest.raises(Unreachable):
            await commit(store)
        store.close()
    assert len(server.heard) == 1


async def test_a_repeatable_call_is_repeated_until_it_works(autojump_clock):
    found = reply(200, content_length="5", etag=TAG, last_modified=DATE)
    script = [reply(503), Reply(b"", hangs_up=True), reply(500), found]
    server = await ask(script, lambda store: store.head("f"), patience=60.0)
    assert len(server.heard) == 4


async def test_patience_ends(autojump_clock):
    started = trio.current_time()
    with pytest.raises(Throttled):
        await ask([reply(503)] * 1000, lambda store: store.head("f"), patience=20.0)
    assert trio.current_time() - started <= 20.0


@pytest.mark.parametrize(
    ("status", "body", "headers", "error"),
    [
        (403, error_body("AccessDenied"), {}, AccessDenied),
        (403, error_body("RequestTimeTooSkewed"), {}, ClockSkew),
        (404, error_body("NoSuchBucket"), {}, NoSuchBucket),
        (301, error_body("PermanentRedirect"), {"x_amz_bucket_region": "eu-west-2"}, NoSuchBucket),
        (
            400,
            error_body("AuthorizationHeaderMalformed", "<Region>eu-west-2</Region>"),
            {},
            NoSuchBucket,
        ),
        (400, error_body("BadDigest"), {}, Corrupted),
        (412, error_body("PreconditionFailed"), {}, PreconditionFailed),
        (502, b"<html>bad gateway</html>", {}, ServerTrouble),
        (418, b"", {}, Rejected),
    ],
)
async def test_a_refusal_has_its_class_and_names_operation_and_key(status, body, headers, error):
    with pytest.raises(error) as caught:
        await ask([reply(status, body, **headers)], put)
    text = str(caught.value)
    assert "PutObject" in text
    assert "'f'" in text
    assert "us-east-1:0" not in text
    assert "secret" not in text
    if error is NoSuchBucket and "NoSuchBucket" not in text:
        assert "eu-west-2" in text


AN_HOUR_LATER = "Wed, 15 Nov 2023 01:00:00 GMT"


async def test_a_wrong_clock_is_corrected_and_even_a_commit_is_sent_again():
    refused = reply(403, error_body("RequestTimeTooSkewed"), date=AN_HOUR_LATER)
    server = await ask([refused, STORED], put)
    assert [heard.headers["x-amz-date"] for heard in server.heard] == [
        "20231115T000000Z",
        "20231115T010000Z",
    ]
    assert [heard.body for heard in server.heard] == [b"data", b"data"]


async def test_a_bare_403_from_a_server_with_another_time_corrects_the_clock_for_good():
    found = reply(200, content_length="5", etag=TAG, last_modified=DATE)
    with scripted_server([reply(403, date=AN_HOUR_LATER), found, found]) as server:
        store = store_at(server.endpoint)
        await store.head("f")
        await store.head("f")
        store.close()
    assert [heard.headers["x-amz-date"][9:] for heard in server.heard] == [
        "000000Z",
        "010000Z",
        "010000Z",
    ]


async def test_a_clock_that_is_refused_again_is_not_corrected_for_ever():
    refused = reply(403, error_body("RequestTimeTooSkewed"), date=AN_HOUR_LATER)
    with scripted_server([refused] * 3) as server:
        store = store_at(server.endpoint)
        with pytest.raises(ClockSkew):
            await put(store)
        store.close()
    assert len(server.heard) == 2
