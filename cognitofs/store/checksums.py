"""Checksums as S3 counts them: CRC-64/NVME where awscrt is there, else CRC-32.

Owns the algorithm's name and header, sums over blocks, and the sum of joined parts.
A checksum is the base64 of its big-endian bytes, as in the `x-amz-checksum-*` headers
(Amazon S3 User Guide, "Checking object integrity"). CRC-64/NVME is a full-object checksum: the
sum of a whole follows from the sums and lengths of its parts. zlib has no such function for
CRC-32, so without awscrt only parts are compared.

What is read may have been stored by others with another algorithm (boto3 takes CRC-32, the AWS CLI
CRC-64/NVME): `summers` has those that S3 may announce for a whole object.
"""

import hashlib
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

try:
    from awscrt.checksums import combine_crc64nvme, crc32c, crc64nvme
except ImportError:  # a platform without a wheel: CRC-32 per part is what zlib offers
    _WIDTH, ALGORITHM = 4, "CRC32"
    _step: Callable[[bytes | memoryview, int], int] = zlib.crc32
else:
    _WIDTH, ALGORITHM = 8, "CRC64NVME"
    _step = crc64nvme

HEADER = f"x-amz-checksum-{ALGORITHM.lower()}"
"""The header that carries a checksum in requests and answers."""

IS_FULL_OBJECT = ALGORITHM == "CRC64NVME"
"""Whether the checksums of parts can be combined into the object's."""


Summer = Callable[[Iterable[bytes]], str]
"""Returns the checksum of concatenated blocks, as it stands in a header."""


def checksum(blocks: Iterable[bytes]) -> str:
    """Return the checksum of the concatenated *blocks*."""
    return summers()[HEADER](blocks)


def running_sum(data: bytes | memoryview, before: int = 0) -> int:
    """Return the sum, as a number, of *data* behind what has the sum *before*."""
    return _step(data, before)


def summers() -> Mapping[str, Summer]:
    """Return the algorithms at hand, by the header that announces one; the quickest first."""
    return _SUMMERS


def _crc(step: Callable[[bytes, int], int], width: int, blocks: Iterable[bytes]) -> str:
    total = 0
    for block in blocks:
        total = step(block, total)
    return b64encode(total.to_bytes(width, "big")).decode("ascii")


def _hash(name: str, blocks: Iterable[bytes]) -> str:
    found = hashlib.new(name, usedforsecurity=False)
    for block in blocks:
        found.update(block)
    return b64encode(found.digest()).decode("ascii")


_SUMMERS: dict[str, Summer] = {
    "x-amz-checksum-crc32": partial(_crc, zlib.crc32, 4),
    "x-amz-checksum-sha1": partial(_hash, "sha1"),
    "x-amz-checksum-sha256": partial(_hash, "sha256"),
}
if IS_FULL_OBJECT:
    _SUMMERS = {
        HEADER: partial(_crc, crc64nvme, 8),
        "x-amz-checksum-crc32c": partial(_crc, crc32c, 4),
        **_SUMMERS,
    }


def combine(parts: Sequence[tuple[str, int]]) -> str:
    """Return the checksum of the whole from (checksum, size in bytes) of its parts, in order.

    "" when it cannot be known: a part without a checksum, or CRC-32.
    """
    if not IS_FULL_OBJECT or not all(part for part, _ in parts):
        return ""
    total = 0
    for part, size in parts:
        total = combine_crc64nvme(total, _decode(part), size)
    return _encode(total)


def _encode(value: int) -> str:
    return b64encode(value.to_bytes(_WIDTH, "big")).decode("ascii")


def _decode(text: str) -> int:
    return int.from_bytes(b64decode(text), "big")
