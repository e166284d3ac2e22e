"""Attributes: mode, mtime, kind and xattrs of a file, and how they stand in an object's headers.

Pure. Writes both families of keys that other tools read: `file-permissions` and `file-mtime` (AWS:
S3 Files, FSx, DataSync) and `mtime` (s3fs, rclone). Reads what s3fs, geesefs, rclone and Google's
tools write too.

INVARIANT: user metadata and headers that are not ours survive every rewrite.
"""

import mimetypes
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import Enum

from cognitofs.store.interface import ObjectHeaders, ObjectInfo
from cognitofs.store.records import TXID
from cognitofs.tree.xattrs import Xattrs, read_xattrs, write_xattrs

DIRECTORY_TYPE = "application/x-directory"
"""Content-Type of markers: s3fs, Nextcloud and others know it."""

SYMLINK_MAXIMUM = 4095
"""Bytes of a link's target (PATH_MAX of Linux, without the NUL)."""

_NS = 1_000_000_000
_MODE_BITS = 0o777
"""No setuid, setgid or sticky bit comes out of a bucket: anybody may have written it."""


class Kind(Enum):
    """What a name stands for; the value is the type bits of st_mode."""

    FILE = stat.S_IFREG
    DIRECTORY = stat.S_IFDIR
    SYMLINK = stat.S_IFLNK


@dataclass(frozen=True, slots=True)
class Attributes:
    """What stat shows beside the size. `mode` holds permission bits only."""

    kind: Kind
    mode: int
    mtime_ns: int
    xattrs: Xattrs = ()


@dataclass(frozen=True, slots=True)
class Defaults:
    """Modes of objects that carry none."""

    file_mode: int = 0o644
    directory_mode: int = 0o755

    def of(self, kind: Kind) -> int:
        """Return the default mode of *kind*."""
        if kind is Kind.SYMLINK:
            return 0o777
        return self.directory_mode if kind is Kind.DIRECTORY else self.file_mode


def may_be_symlink(info: ObjectInfo) -> bool:
    """Tell whether only a HEAD can say if the object is a symlink."""
    return 0 < info.size <= SYMLINK_MAXIMUM


def read_attributes(
    headers: ObjectHeaders, info: ObjectInfo, defaults: Defaults, *, is_marker: bool
) -> Attributes:
    """Return what the headers of an object say, with defaults for what they do not."""
    mode = _mode_of(headers.metadata)
    kind = Kind.DIRECTORY if is_marker else Kind.FILE
    if mode is not None and not is_marker and stat.S_ISLNK(mode) and may_be_symlink(info):
        kind = Kind.SYMLINK
    bits = defaults.of(kind) if mode is None else mode & _MODE_BITS
    mtime = _mtime_of(headers.metadata)
    mtime_ns = info.modified * _NS if mtime is None else mtime
    return Attributes(kind, bits, mtime_ns, read_xattrs(headers.metadata))


def provisional(info: ObjectInfo, defaults: Defaults) -> Attributes:
    """Return the attributes of a file of which only LIST is known."""
    return Attributes(Kind.FILE, defaults.file_mode, info.modified * _NS)


def write_attributes(headers: ObjectHeaders, attributes: Attributes, txid: str) -> ObjectHeaders:
    """Return *headers* with *attributes* and the token of the commit that will carry them."""
    seconds, nanoseconds = divmod(attributes.mtime_ns, _NS)
    ours = {
        "file-permissions": f"0{attributes.kind.value | attributes.mode:o}",
        "file-mtime": f"{attributes.mtime_ns}ns",
        # Exactly nine digits: s3fs reads the fraction as an integer (metaheader.cpp).
        "mtime": f"{seconds}.{nanoseconds:09d}",
        TXID: txid,
    }
    carried = write_xattrs(headers.metadata, attributes.xattrs)
    kept = {k: v for k, v in carried.items() if k not in ("mode", "permissions")}
    return replace(headers, metadata=kept | ours)


def new_headers(name: str, kind: Kind) -> ObjectHeaders:
    """Return the headers of a new object: a Content-Type by its name."""
    if kind is Kind.DIRECTORY:
        return ObjectHeaders(content_type=DIRECTORY_TYPE)
    if kind is Kind.SYMLINK:
        return ObjectHeaders(content_type="application/octet-stream")
    guess, encoding = mimetypes.guess_type(name, strict=False)
    if guess is None or encoding is not None:  # a .gz is a gzip file, not compressed text
        return ObjectHeaders(content_type="application/octet-stream")
    return ObjectHeaders(content_type=guess)


def _mode_of(metadata: Mapping[str, str]) -> int | None:
    """Return st_mode, in the order of trust: AWS, s3fs and geesefs, s3sync."""
    for name in ("file-permissions", "mode", "permissions", "goog-reserved-posix-mode"):
        if name in metadata:
            value = metadata[name]
            is_octal = name in ("file-permissions", "goog-reserved-posix-mode")
            mode = _number(value, 8) if is_octal or _looks_octal(value) else _number(value, 10)
            if mode is not None:
                return mode
    return None


def _looks_octal(value: str) -> bool:
    """Tell rclone's octal "100664" from s3fs's decimal "33188": st_mode is below 65,536."""
    number = _number(value, 10)
    return number is None or number > 0xFFFF or value.startswith("0")


def _number(text: str, base: int) -> int | None:
    try:
        return int(text, base)
    except ValueError:
        return None


def _mtime_of(metadata: Mapping[str, str]) -> int | None:
    """Return nanoseconds: `file-mtime` ("ns" suffix, else ms), then `mtime`, then Google's."""
    text = metadata.get("file-mtime", "")
    if text.endswith("ns"):
        return _number(text[:-2], 10)
    if text and (milliseconds := _number(text, 10)) is not None:
        return milliseconds * 1_000_000
    for name in ("mtime", "goog-reserved-file-mtime"):
        try:
            return int(Decimal(metadata[name]) * _NS)
        except (KeyError, InvalidOperation, ValueError, OverflowError):
            continue
    return None
