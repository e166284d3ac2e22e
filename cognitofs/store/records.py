"""The store's nouns as JSON, for the journal and for the memory of attributes. Pure.

INVARIANT: what an older cognitofs wrote stays readable; unknown names are ignored.
"""

import json
from dataclasses import asdict
from typing import Any

from cognitofs.store.interface import ETag, ObjectHeaders, ObjectInfo

TXID = "cognitofs-txid"
"""User metadata key of the token that tells our own commit from somebody else's."""


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
