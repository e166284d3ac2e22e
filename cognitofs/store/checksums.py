"""Checksums as S3 counts them: CRC-64/NVME where awscrt is there, else CRC-32.

Owns the algorithm's name and header, sums over blocks, and the sum of joined parts.
A checksum is the base64 of its big-endian bytes, as in the `x-amz-checksum-*` headers
(Amazon S3 User Guide, "Checking object integrity"). CRC-64/NVME is a full-object checksum: the
sum of a whole follows from the sums and lengths of its parts. zlib has no such function for
CRC-32, so without awscrt only parts are compared.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence

try:
    from awscrt.checksums import combine_crc64nvme, crc64nvme
except ImportError:  # a platform without a wheel: CRC-32 per part is what zlib offers
    _WIDTH, ALGORITHM = 4, "CRC32"
else:
    _WIDTH, ALGORITHM = 8, "CRC64NVME"

HEADER = f"x-amz-checksum-{ALGORITHM.lower()}"
"""The header that carries a checksum in requests and answers."""

IS_FULL_OBJECT = ALGORITHM == "CRC64NVME"
"""Whether the checksums of parts can be combined into the object's."""


def checksum(blocks: Iterable[bytes]) -> str:
    """Return the checksum of the concatenated *blocks*."""
    total = 0
    for block in blocks:
        total = crc64nvme(block, total) if IS_FULL_OBJECT else zlib.crc32(block, total)
    return _encode(total)


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
