"""Seal: the frozen description of what a file held when it was closed or synced.

Owns the noun and its JSON form in the journal. It is everything an upload needs beside the bytes,
so that another process can finish the upload after a crash.
"""

import json
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any

from cognitofs.spool.extents import ExtentMap
from cognitofs.store.interface import ETag, Expect, ObjectHeaders, ObjectInfo

TXID = "cognitofs-txid"
"""User metadata key of the token that tells our own commit from somebody else's."""


def new_txid() -> str:
    """Return a fresh token for one commit: 128 random bits."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Seal:
    """Content of one key, frozen.

    `id` names the journal row, and the spool file when `has_spool`. `touched` are the ranges that
    differ from `base`; bytes below `base_limit` outside them are the base's, all others zeros.
    `headers` carry the txid, which S3 gives back in a HEAD: our proof after a lost answer.
    `supersedes` are the txids of earlier seals of this file whose commit may or may not be on S3.
    """

    id: str
    key: str
    size: int
    touched: tuple[tuple[int, int], ...]
    base: ObjectInfo | None
    base_limit: int
    expect: Expect
    headers: ObjectHeaders
    has_spool: bool = True
    supersedes: tuple[str, ...] = ()

    @property
    def txid(self) -> str:
        """The token of this commit."""
        return self.headers.metadata.get(TXID, "")

    @property
    def needs_base(self) -> bool:
        """Tell whether some bytes must come from the base object."""
        return self.base is not None and bool(
            ExtentMap(self.touched).gaps(0, min(self.base_limit, self.size))
        )

    def renamed(self, key: str, expect: Expect) -> "Seal":
        """Return the same content for another key."""
        return replace(self, key=key, expect=expect)


def encode_headers(headers: ObjectHeaders) -> str:
    """Return *headers* as JSON."""
    plain = {name: getattr(headers, name) for name in ObjectHeaders.__slots__}
    return json.dumps(plain | {"metadata": dict(headers.metadata)})


def decode_headers(text: str) -> ObjectHeaders:
    """Return the headers that `encode_headers` wrote; unknown names are ignored."""
    found: dict[str, Any] = json.loads(text)
    return ObjectHeaders(**{n: v for n, v in found.items() if n in ObjectHeaders.__slots__})


def encode_info(info: ObjectInfo | None) -> str | None:
    """Return *info* as JSON."""
    return None if info is None else json.dumps(asdict(info))


def decode_info(text: str | None) -> ObjectInfo | None:
    """Return the info that `encode_info` wrote."""
    if text is None:
        return None
    found: dict[str, Any] = json.loads(text)
    return ObjectInfo(**(found | {"etag": ETag(found["etag"])}))
