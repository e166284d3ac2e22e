"""A store over a server that says what a test scripts."""

from random import Random

from cognitofs.store.interface import (
    ETag,
    ObjectHeaders,
    ObjectInfo,
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


class RenewableKeys:
    """Gives key-1 until it is invalidated, then key-2, and so on."""

    def __init__(self) -> None:
        self.number = 1

    def current(self) -> Keys:
        return Keys(f"key-{self.number}", f"secret-{self.number}", f"token-{self.number}")

    def invalidate(self, access_key: str) -> None:
        if access_key == f"key-{self.number}":
            self.number += 1


def store_at(endpoint: str, *, keys=None, patience=0.0, **more) -> S3Store:
    more = {"silence": float("inf"), **more}  # virtual time passes while a thread is asking
    config = S3Config("bucket", "us-east-1", PREFIX, endpoint, patience=patience, **more)
    return S3Store(config, keys or RenewableKeys(), now=lambda: NOW, random=Random(1))


def error_body(code: str, extra: str = "") -> bytes:
    return f"<Error><Code>{code}</Code><Message>said so</Message>{extra}</Error>".encode()


def info_of(size: int = 10) -> ObjectInfo:
    return ObjectInfo("f", size, TAG, 0)


async def ask(script: list[Reply], call, **how) -> ScriptedServer:
    """Run *call* on a store over a server with this script and return what was heard."""
    with scripted_server(script) as server:
        store = store_at(server.endpoint, **how)
        try:
            await call(store)
        finally:
            store.close()
    return server


async def put(store: S3Store) -> ObjectInfo:
    return await store.put("f", b"data", PLAIN, expect="absent")
