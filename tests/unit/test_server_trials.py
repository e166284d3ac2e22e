"""Servers that ignore conditions are found out, once, and made up for; AWS is never tried."""

import json

import pytest

from cognitofs.errors import AccessDenied, ConfigError, PreconditionFailed, Rejected
from cognitofs.servertrials import Server
from cognitofs.store.checking import CheckingStore
from cognitofs.store.conditions import ALL_COMMITS, unminded_commits
from cognitofs.store.forwarding import ForwardingStore
from cognitofs.store.interface import ETag, ObjectHeaders
from cognitofs.testing import FaultyStore, MemoryStore
from tests.ignorant import Ignorant

PLAIN = ObjectHeaders()
OTHER = ETag('"1"')
COMMITS = sorted(ALL_COMMITS)


@pytest.fixture
def bucket():
    return MemoryStore()


@pytest.fixture
def server(tmp_path):
    return Server("https://s3.example.org", "files", tmp_path / "cache")


@pytest.mark.parametrize("ignored", [(), *((each,) for each in COMMITS), COMMITS])
async def test_exactly_the_ignored_commits_are_found_and_nothing_is_left(bucket, ignored):
    assert await unminded_commits(Ignorant(bucket, *ignored), "probe") == frozenset(ignored)
    assert bucket.keys == ()
    assert bucket.bucket.uploads == ()


async def test_a_server_that_refuses_the_header_is_not_asked_for_it(bucket):
    store = FaultyStore(bucket)
    store.fail("copy", Rejected("What is that header?"), times=-1)
    assert await unminded_commits(store, "probe") == {"CopyObject"}


async def _complete(store, theirs):
    upload = await store.begin_upload(theirs.key, PLAIN)
    await store.complete_upload(theirs.key, upload, [], expect="absent")


UNEXPECTED = {
    "PutObject": lambda store, theirs: store.put(theirs.key, b"ours", PLAIN, expect=OTHER),
    "CopyObject": lambda store, theirs: store.copy(
        theirs, theirs.key, expect="absent", headers=None
    ),
    "DeleteObject": lambda store, theirs: store.delete(theirs.key, expect=OTHER),
    "CompleteMultipartUpload": _complete,
}


@pytest.mark.parametrize("commit", COMMITS)
async def test_a_look_stands_in_for_each_ignored_condition(bucket, commit):
    store = CheckingStore(Ignorant(bucket, *COMMITS), ALL_COMMITS)
    assert await unminded_commits(store, "probe") == frozenset()
    theirs = bucket.outside_put("f", b"theirs")
    with pytest.raises(PreconditionFailed):
        await UNEXPECTED[commit](store, theirs)
    assert bucket.data("f") == b"theirs"


async def test_of_many_only_the_expected_versions_are_deleted(bucket):
    store = CheckingStore(Ignorant(bucket, *COMMITS), ALL_COMMITS)
    mine, theirs = bucket.outside_put("mine", b"1"), bucket.outside_put("theirs", b"2")
    assert theirs.etag != mine.etag
    versions = [("mine", mine.etag), ("theirs", mine.etag), ("gone", mine.etag)]
    failures = await store.delete_many(versions)
    assert list(failures) == ["theirs"]
    assert isinstance(failures["theirs"], PreconditionFailed)
    assert bucket.keys == ("theirs",)


class TestServer:
    """The trial is made once per endpoint and bucket, off AWS."""

    async def test_a_server_is_tried_once_and_told_of_once(self, bucket, server):
        store = Ignorant(bucket, "CopyObject")
        first = await server.minding("auto", store, "")
        assert first.unminded == {"CopyObject"}
        assert "CopyObject" in first.notices[0]
        asked = bucket.requests.total()
        again = await server.minding("auto", store, "")
        assert again.unminded == {"CopyObject"}
        assert again.notices == ()
        assert bucket.requests.total() == asked

    async def test_another_bucket_is_tried_for_itself(self, bucket, server, tmp_path):
        await server.minding("auto", Ignorant(bucket, "CopyObject"), "")
        other = Server(server.endpoint, "other", server.cache)
        assert (await other.minding("auto", bucket, "")).unminded == frozenset()

    async def test_a_good_server_is_left_as_it_is(self, bucket, server):
        minding = await server.minding("require", bucket, "")
        assert minding.notices == ()
        assert minding.applied(bucket) is bucket

    async def test_aws_is_never_tried(self, bucket, tmp_path):
        minding = await Server("", "files", tmp_path).minding("require", bucket, "")
        assert minding.unminded == frozenset()
        assert not bucket.requests

    async def test_require_refuses_a_server_that_ignores_conditions(self, bucket, server):
        for _ in range(2):  # tried, and remembered
            with pytest.raises(ConfigError, match="CompleteMultipartUpload"):
                await server.minding("require", Ignorant(bucket, "CompleteMultipartUpload"), "")

    async def test_off_sends_no_condition_and_looks_instead(self, bucket, server):
        minding = await server.minding("off", bucket, "")
        assert minding.unminded == ALL_COMMITS
        assert "off" in minding.notices[0]
        assert not bucket.requests

    async def test_the_trial_lies_in_the_own_directory(self, bucket, server):
        keys = []

        class Watched(ForwardingStore):
            async def put(self, key, body, headers, *, expect):
                keys.append(key)
                return await super().put(key, body, headers, expect=expect)

        await server.minding("auto", Watched(bucket), "me/")
        assert keys
        assert all(key.startswith("me/.cognitofs-probe-") for key in keys)

    async def test_a_role_that_may_not_try_mounts_all_the_same(self, bucket, server):
        store = FaultyStore(bucket)
        store.fail("begin_upload", AccessDenied("No."), times=-1)
        assert (await server.minding("require", store, "")).unminded == frozenset()
        assert bucket.keys == ()
        store.heal()
        assert (await server.minding("auto", store, "")).unminded == frozenset()
        assert bucket.requests["begin_upload"] == 1, "it is tried again when the role may"

    @pytest.mark.parametrize("found", ["", "[]", '{"format": 2}', '{"format": 1, "servers": 3}'])
    async def test_what_cannot_be_read_is_found_out_again(self, bucket, server, found):
        server.cache.mkdir(mode=0o700)
        (server.cache / "servers.json").write_text(found)
        minding = await server.minding("auto", Ignorant(bucket, "PutObject"), "")
        assert minding.unminded == {"PutObject"}
        known = json.loads((server.cache / "servers.json").read_text())
        assert list(known["servers"]) == ["https://s3.example.org/files"]
