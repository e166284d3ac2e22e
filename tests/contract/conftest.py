"""The stores under contract, and the differences of servers, each with its reason."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path

import pytest

from cognitofs.store.checking import CheckingStore
from cognitofs.store.conditions import ALL_COMMITS
from cognitofs.store.interface import ObjectStore
from cognitofs.store.keys import Keys
from cognitofs.store.limits import PART_MINIMUM
from cognitofs.store.s3 import S3Config, S3Store
from cognitofs.testing import MemoryStore
from tests.contract.boto3_store import Boto3Store
from tests.servers import S3Server

_NUMBERS = count(1)

FIXTURES = {"moto": "moto_server", "seaweedfs": "seaweedfs", "strict": "strict_s3"}
"""The servers under contract, by the fixture that gives one."""

_COMPLETE = "it ignores conditions on CompleteMultipartUpload"
_COPY = "it ignores conditions on CopyObject and UploadPartCopy"
_NO_UPLOAD = "it answers 500 to a part, or the completion, of an aborted upload"
_BATCH = "it ignores ETags in DeleteObjects"
_LOOKED_AT = (_COMPLETE, _COPY, _BATCH)
"""What `CheckingStore` makes up for."""
_ODD = "test_an_odd_key_is_a_key_like_any_other"
_GONE = "test_an_odd_key_is_deleted_like_any_other"
_CLEANED = "it takes keys for paths and cleans them"
DIFFERENCES = {
    ("moto", f"{_ODD}[newline]"): "its URL patterns know no newline",
    ("boto3-moto", f"{_ODD}[control]"): "it puts the character into XML, where boto3 stumbles",
    ("looking-moto", "test_receipts_carry_the_checksum_of_their_bytes"): (
        "it returns a part's checksum for trailers, as boto3 sends it, but not for headers"
    ),
    ("wire-moto", "test_receipts_carry_the_checksum_of_their_bytes"): (
        "it returns a part's checksum for trailers, as boto3 sends it, but not for headers"
    ),
    ("moto", f"{_GONE}[newline]"): "its URL patterns know no newline",
    ("boto3-moto", f"{_GONE}[control]"): "boto3 puts the character into XML, which has none",
    ("boto3-seaweedfs", f"{_GONE}[control]"): "boto3 puts the character into XML, which has none",
    ("boto3-strict", f"{_ODD}[control]"): "it says the key again in XML, where boto3 stumbles",
    ("boto3-strict", f"{_GONE}[control]"): "boto3 puts the character into XML, which has none",
    ("seaweedfs", f"{_GONE}[backslash]"): "it takes a backslash for a slash",
    ("moto", "test_of_many_another_version_is_not_deleted"): _BATCH,
    ("moto", "test_a_part_is_not_copied_from_a_replaced_version"): _COPY,
    ("moto", "test_a_replaced_source_is_not_copied[any]"): _COPY,
    ("moto", "test_a_replaced_source_is_not_copied[absent]"): _COPY,
    ("moto", "test_a_copy_onto_an_unexpected_target_is_refused"): _COPY,
    ("moto", "test_a_refused_complete_leaves_the_upload_to_complete_otherwise"): _COMPLETE,
    ("moto", "test_a_complete_onto_a_version_that_is_gone_finds_nothing"): _COMPLETE,
    ("moto", "test_an_aborted_upload_is_gone"): _NO_UPLOAD,
    ("moto", "test_a_part_of_an_aborted_upload_is_refused"): _NO_UPLOAD,
    ("seaweedfs", f"{_ODD}[leading]"): _CLEANED,
    ("seaweedfs", f"{_ODD}[double]"): _CLEANED,
    ("seaweedfs", f"{_ODD}[backslash]"): "it takes a backslash for a slash",
    ("seaweedfs", "test_a_recursive_listing_is_in_byte_order"): (
        "it walks directories, so that a/1 comes before a.txt"
    ),
    ("seaweedfs", "test_a_part_that_s3_does_not_hold_is_refused"): (
        "it does not compare the ETags of parts"
    ),
}
"""(server or speaker-server, test with its own parameter) -> what the server does unlike S3."""


class FixedKeys:
    """A `KeySource` for servers whose keys do not expire."""

    def __init__(self, server: S3Server) -> None:
        self._keys = Keys(server.access_key, server.secret_key)
        self.forgotten: list[str] = []

    def current(self) -> Keys:
        return self._keys

    def invalidate(self, access_key: str) -> None:
        self.forgotten.append(access_key)


@dataclass
class Side:
    """One store under contract: how it speaks and to which server."""

    speaker: str
    server: S3Server | None
    bucket: str
    prefix: str
    store: ObjectStore


@pytest.fixture(scope="session")
def buckets() -> dict[str, str]:
    return {}


_SIDES = [
    "memory",
    *(f"{how}-{name}" for how in ("wire", "boto3") for name in FIXTURES),
    "looking-moto",
]
"""Who speaks to whom; "looking" is the wire's store with a look before each commit."""


@pytest.fixture(params=_SIDES)
def side(request: pytest.FixtureRequest, buckets: dict[str, str]) -> Iterator[Side]:
    speaker, _, name = request.param.partition("-")
    if speaker == "memory":
        yield Side("memory", None, "", "", MemoryStore())
        return
    _expect_difference(request, name)
    server = request.getfixturevalue(FIXTURES[name])
    bucket = buckets.get(name) or buckets.setdefault(name, server.make_bucket())
    prefix = f"private/us-east-1:{next(_NUMBERS):08d}/"
    if speaker in ("wire", "looking"):
        config = S3Config(
            bucket, server.region, prefix, server.endpoint, patience=2.0, batch_deletes=True
        )
        wire = S3Store(config, FixedKeys(server))
        store = CheckingStore(wire, ALL_COMMITS) if speaker == "looking" else wire
        yield Side("wire", server, bucket, prefix, store)
        wire.close()
    else:
        client = server.client()
        yield Side(speaker, server, bucket, prefix, Boto3Store(client, bucket, prefix))
        client.close()


@pytest.fixture
def store(side: Side) -> ObjectStore:
    return side.store


def _expect_difference(request: pytest.FixtureRequest, server: str) -> None:
    """Let a listed difference fail; the run fails when it has gone."""
    _, _, parameters = request.node.name.partition("[")
    own = parameters.removesuffix("]").replace(request.param, "").strip("-")
    name = request.node.originalname
    for who, case in product((server, request.param), (name, f"{name}[{own}]")):
        reason = DIFFERENCES.get((who, case))
        is_looked_at = request.param.startswith("looking") and reason in _LOOKED_AT
        if reason and not is_looked_at:
            request.applymarker(pytest.mark.xfail(reason=f"{server}: {reason}", strict=True))


@pytest.fixture(scope="module")
def large() -> bytes:
    """More than the least part, not repeating, so that a misplaced part shows."""
    return b"".join(number.to_bytes(4, "big") for number in range(PART_MINIMUM // 4 + 1000))


@pytest.fixture
def file(tmp_path: Path, large: bytes) -> Iterator[int]:
    fd = os.open(tmp_path / "body", os.O_RDWR | os.O_CREAT)
    os.write(fd, large)
    yield fd
    os.close(fd)
