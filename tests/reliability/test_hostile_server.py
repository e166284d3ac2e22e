"""A server that lies: whatever it answers becomes a result or an error, soon, in little memory."""

import os
import random
import resource

import pytest
import trio

from cognitofs.errors import CognitoFSError
from cognitofs.store.checksums import checksum
from cognitofs.store.interface import ObjectHead, ObjectInfo, PartReceipt, UploadId
from tests.scripted_http import Reply, reply, scripted_server
from tests.unit.scripted_store import DATE, PLAIN, PREFIX, TAG, info_of, store_at

pytestmark = pytest.mark.reliability

ROUNDS = 400
"""Answers to each operation, in a submission."""
SECONDS = 60.0
"""For one answer; a loaded machine is patient, a hanging client is not."""
MOST_GROWTH = 512 * 1024
"""KiB that all of it may add to the peak of this process."""

DATA = b"0123456789"
KEY = f"{PREFIX}f"
LISTING = (
    f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>n</"
    f"NextContinuationToken><EncodingType>url</EncodingType><Contents><Key>{KEY}</Key><Size>1</Size>"
    f"<ETag>&quot;x&quot;</ETag><LastModified>2023-11-15T00:00:00.000Z</LastModified></Contents>"
    f"<CommonPrefixes><Prefix>{PREFIX}d/</Prefix></CommonPrefixes></ListBucketResult>"
).encode()
BEGUN = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
DONE = (
    b"<CompleteMultipartUploadResult><ETag>&quot;tag&quot;</ETag></CompleteMultipartUploadResult>"
)
COPIED = b"<CopyObjectResult><ETag>&quot;tag&quot;</ETag></CopyObjectResult>"
PARTS = (
    b"<ListPartsResult><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber><Size>4</Size>"
    b"<ETag>&quot;tag&quot;</ETag></Part></ListPartsResult>"
)
DELETED = f"<DeleteResult><Deleted><Key>{KEY}</Key></Deleted></DeleteResult>".encode()
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 20) for n in range(12))
    + b"]><ListBucketResult><Key>&m;</Key></ListBucketResult>"
)
STRANGER = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    b"<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>&a;</Key></Contents>"
    b"</ListBucketResult>"
)
RECEIPT = PartReceipt(1, TAG, 4, checksum((b"data",)))
STATUSES = (200, 204, 206, 301, 302, 307, 400, 401, 403, 404, 405, 409, 411, 412, 416, 429, 500)
STATUSES += (503, 599, 600, 999)
ODD = ("", "-1", "abc", "9" * 30, "\x7f", "é", '"', "bytes 0-9/*", "bytes 9-0/10", "1, 2", "NaN")
NAMES = ("content-length", "content-range", "etag", "last-modified", "date", "content-encoding")
NAMES += ("transfer-encoding", "location", "x-amz-version-id", "x-amz-checksum-crc64nvme")
NAMES += ("x-amz-meta-mtime", "retry-after", "connection", "x-amz-bucket-region", "content-type")
VALUES = (
    *ODD,
    "gzip",
    "chunked",
    "http://127.0.0.1:1/other",
    "999999999999",
    "close",
    "x" * 70_000,
)


class Calls:
    """Each operation of a store, with the answer that an honest server gives."""

    def __init__(self, store, target):
        self.store, self.target = store, target

    async def list_page(self):
        page = await self.store.list_page("")
        assert all(isinstance(found.size, int) and found.size >= 0 for found in page.objects)

    async def head(self):
        assert isinstance(await self.store.head("f"), ObjectHead)

    async def read(self):
        assert len(await self.store.read(info_of(), 3, 8)) == 5

    async def read_into(self):
        os.ftruncate(self.target, 0)
        await self.store.read_into(info_of(), 3, 8, self.target)
        assert os.fstat(self.target).st_size == 8

    async def put(self):
        assert isinstance(await self.store.put("f", b"data", PLAIN, expect="any"), ObjectInfo)

    async def begin_upload(self):
        assert await self.store.begin_upload("f", PLAIN)

    async def list_parts(self):
        await self.store.list_parts("f", UploadId("u"))

    async def complete_upload(self):
        await self.store.complete_upload("f", UploadId("u"), [RECEIPT], expect="any")

    async def copy(self):
        await self.store.copy(info_of(), "g", expect="any", headers=PLAIN)

    async def delete(self):
        await self.store.delete("f")

    async def delete_many(self):
        for failure in (await self.store.delete_many([("f", "any")])).values():
            raise failure


HONEST = {
    "list_page": (200, LISTING, {}),
    "head": (200, b"", {"content-length": "10", "last-modified": DATE}),
    "read": (206, DATA[3:8], {"content-range": "bytes 3-7/10"}),
    "read_into": (206, DATA[3:8], {"content-range": "bytes 3-7/10"}),
    "put": (200, b"", {}),
    "begin_upload": (200, BEGUN, {}),
    "list_parts": (200, PARTS, {}),
    "complete_upload": (200, DONE, {}),
    "copy": (200, COPIED, {}),
    "delete": (204, b"", {}),
    "delete_many": (200, DELETED, {}),
}


def bent(chance: random.Random, status: int, body: bytes, headers: dict[str, str]) -> Reply:
    """Return that answer with a few things changed; the connection ends behind it."""
    headers = {"etag": TAG, "date": DATE, **headers}
    for _ in range(chance.randint(1, 3)):
        what = chance.choice(("status", "header", "header", "body", "body", "raw"))
        if what == "status":
            status = chance.choice(STATUSES)
        elif what == "header":
            headers[chance.choice(NAMES)] = chance.choice(VALUES)
        elif what == "body":
            body = other_body(chance, body)
        else:
            return Reply(chance.randbytes(chance.randint(0, 3000)), hangs_up=True)
    return reply(status, body, hangs_up=True, **headers)


def other_body(chance: random.Random, body: bytes) -> bytes:
    cut = chance.randint(0, len(body))
    return chance.choice(
        (
            body[:cut],
            body + chance.randbytes(100),
            body[:cut] + chance.randbytes(3) + body[cut:],
            body.replace(PREFIX.encode(), b"private/us-east-1:1/"),
            body.replace(b"/f<", b"/../../f<"),
            body.replace(b"<Size>1<", b"<Size>-1<"),
            body.replace(b"2023", b"99999"),
            body * 2,
            b"<" * 200_000,
            bytes(3_000_000),
            BOMB,
            STRANGER,
        )
    )


# Sockets that urllib3 leaves to the garbage collector after an answer that is no HTTP.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("operation", HONEST)
async def test_whatever_a_server_answers_it_ends_well(operation, tmp_path, effort):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in effort.rounds(1):
        await _lie(operation, random.Random(f"{operation} {seed}"), tmp_path, effort.counts)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MOST_GROWTH, f"{grown} KiB more"
    effort.demand(ROUNDS // 4, "answers refused")


async def _lie(operation, chance, directory, counts):
    answers = (bent(chance, *HONEST[operation]) for _ in iter(int, 1))
    with scripted_server(answers) as server, (directory / "target").open("w+b") as target:
        store = store_at(server.endpoint)
        call = getattr(Calls(store, target.fileno()), operation)
        for _ in range(ROUNDS):
            with trio.fail_after(SECONDS):
                try:
                    await call()
                    counts["answers accepted"] += 1
                except CognitoFSError:
                    counts["answers refused"] += 1
        store.close()
