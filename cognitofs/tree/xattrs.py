"""Extended attributes as object metadata: how `user.*` stands in an object's headers.

Pure. A name and a value that a header can carry are user metadata of that name, so that the
application sees them and its own metadata shows here. Anything else stands, as s3fs writes it, in
the metadata `xattr`: percent-encoded JSON of names and base64 values.

INVARIANT: metadata that is not read as an attribute is never touched, and nothing is written when
the attributes are those that stand there.
"""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from urllib.parse import quote, unquote

from cognitofs.errors import AttributesFull
from cognitofs.store.limits import METADATA_BYTES

Xattrs = tuple[tuple[str, bytes], ...]
"""(name with its namespace, value), sorted by name."""

NAMESPACE = "user."
FACTS = "user.cognitofs."
"""What this mount tells about a file; read-only, never stored, never listed."""

_JSON = "xattr"
_TOKEN = re.compile(r"[a-z0-9._-]+")
# What file systems and synchronisers keep there: an attribute of that name must not change it.
_TAKEN = re.compile(
    r"xattr|mode|permissions|uid|gid|owner|group|[amc]time|mtime-.*|md5chksum"
    r"|file-.*|goog-reserved-.*|cognitofs.*"
)


def read_xattrs(metadata: Mapping[str, str]) -> Xattrs:
    """Return the attributes that *metadata* holds."""
    document = _unpacked(metadata.get(_JSON, ""))
    found = {name: value for name, value in document.items() if name.startswith(NAMESPACE)}
    for name, text in metadata.items():
        if _may_be_plain(name, text):
            found[NAMESPACE + name] = text.encode()
    return tuple(sorted(found.items()))


def write_xattrs(metadata: Mapping[str, str], xattrs: Xattrs) -> dict[str, str]:
    """Return *metadata* with *xattrs* in place of those it holds."""
    if read_xattrs(metadata) == xattrs:
        return dict(metadata)
    kept = {n: text for n, text in metadata.items() if n != _JSON and not _may_be_plain(n, text)}
    document = _unpacked(metadata.get(_JSON, ""))  # s3fs keeps other namespaces there, too
    packed = {name: value for name, value in document.items() if not name.startswith(NAMESPACE)}
    for name, value in xattrs:
        short, text = name.removeprefix(NAMESPACE), _text(value)
        if text is not None and short not in kept and _may_be_plain(short, text):
            kept[short] = text
        else:
            packed[name] = value
    return kept | _packed(packed)


def changed(xattrs: Xattrs, name: str, value: bytes | None) -> Xattrs:
    """Return *xattrs* with *name* set to *value*, or removed."""
    found = dict(xattrs)
    found.pop(name, None)
    if value is not None:
        found[name] = value
    return tuple(sorted(found.items()))


def check_size(metadata: Mapping[str, str]) -> None:
    """Raise AttributesFull when S3 would not take so much (it counts names and values)."""
    size = sum(len(name.encode()) + len(text.encode()) for name, text in metadata.items())
    if size > METADATA_BYTES:
        raise AttributesFull(
            f"S3 keeps {METADATA_BYTES} bytes of attributes with an object, and these would be "
            f"{size}. Remove or shorten some."
        )


def _may_be_plain(name: str, text: str) -> bool:
    is_free = _TOKEN.fullmatch(name) is not None and _TAKEN.fullmatch(name) is None
    return is_free and text != "" and text.isprintable() and text == text.strip()


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _packed(xattrs: Mapping[str, bytes]) -> dict[str, str]:
    if not xattrs:
        return {}
    encoded = {name: b64encode(value).decode("ascii") for name, value in xattrs.items()}
    document = json.dumps(encoded, ensure_ascii=False, separators=(",", ":"))
    return {_JSON: quote(document, safe="{},:=+/@")}


def _unpacked(text: str) -> dict[str, bytes]:
    """Read what `_packed` or s3fs wrote; what cannot be read is no attribute."""
    try:
        document = json.loads(unquote(text, errors="strict")) if text else {}
        return {name: b64decode(value, validate=True) for name, value in document.items()}
    except (ValueError, AttributeError, TypeError):
        return {}
