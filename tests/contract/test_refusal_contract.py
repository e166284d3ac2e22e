"""What a server refuses is refused in the same words by our protocol and by boto3."""

import pytest

from cognitofs.errors import AccessDenied, NoSuchBucket
from cognitofs.store.interface import ObjectHeaders
from cognitofs.store.keys import Keys
from cognitofs.store.s3 import S3Config, S3Store
from tests.contract.boto3_store import Boto3Store


class WrongKeys:
    """Keys whose secret the server does not have."""

    def __init__(self, access_key: str) -> None:
        self._keys = Keys(access_key, "not-the-secret")

    def current(self) -> Keys:
        return self._keys

    def invalidate(self, access_key: str) -> None:
        raise AssertionError(access_key)


class RightKeys(WrongKeys):
    """Keys the server knows."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._keys = Keys(access_key, secret_key)


@pytest.mark.parametrize("name", ["moto_server", "seaweedfs", "strict_s3"])
async def test_a_missing_bucket_is_told_from_a_missing_object(request, name):
    server = request.getfixturevalue(name)
    config = S3Config("no-such-bucket", server.region, "p/", server.endpoint, patience=0.0)
    wire = S3Store(config, RightKeys(server.access_key, server.secret_key))
    client = server.client()
    for store in (wire, Boto3Store(client, "no-such-bucket", "p/")):
        with pytest.raises(NoSuchBucket, match="bucket"):
            await store.list_page("")
        if name != "seaweedfs":  # which makes the bucket for an administrator
            with pytest.raises(NoSuchBucket, match="bucket"):
                await store.begin_upload("f", ObjectHeaders())
    wire.close()
    client.close()


@pytest.mark.parametrize("name", ["seaweedfs", "strict_s3"])
async def test_a_wrong_secret_is_denied_whatever_is_asked(request, name):
    server = request.getfixturevalue(name)
    bucket = server.make_bucket()
    config = S3Config(bucket, server.region, "p/", server.endpoint, patience=0.0)
    wire = S3Store(config, WrongKeys(server.access_key))
    client = server.client("not-the-secret")
    for store in (wire, Boto3Store(client, bucket, "p/")):
        for call in (
            lambda store: store.list_page(""),
            lambda store: store.head("f"),
            lambda store: store.put("f", b"", ObjectHeaders(), expect="any"),
            lambda store: store.delete("f"),
        ):
            with pytest.raises(AccessDenied):
                await call(store)
    wire.close()
    client.close()
