"""Limits of S3 and the checks that need no request.

Source: Amazon S3 User Guide, "Multipart upload limits", "Creating object key names",
"Working with object metadata"; API reference of the named operations.
"""

from collections.abc import Sequence

from cognitofs.errors import Rejected, TooLarge
from cognitofs.store.interface import Expect, ObjectHeaders, ObjectInfo, PartReceipt, Version

MIB = 1024 * 1024
GIB = 1024 * MIB
PART_MINIMUM = 5 * MIB
"""Bytes; every part but the last has at least these (EntityTooSmall)."""
PART_MAXIMUM = 5 * GIB
"""Bytes; of a part, of PutObject, of CopyObject's source and of UploadPartCopy's range."""
PART_NUMBERS = 10_000
KEY_BYTES = 1024
"""Bytes of a whole key in UTF-8, the mount's prefix included."""
METADATA_BYTES = 2048
"""Bytes of all user metadata, names and values, in UTF-8."""
PAGE_ENTRIES = 1000


def check_key(key: str, *, prefix: str = "") -> None:
    """Refuse a key that S3, or a path on the way to it, would not take as it is.

    Segments "." and ".." are refused: HTTP libraries, proxies and servers resolve them
    (RFC 3986, 5.2.4), and the result could lie outside the mount's prefix. Raises Rejected.
    """
    try:
        size = len((prefix + key).encode())
    except UnicodeEncodeError as exc:
        raise Rejected(f"The key {key!r} is not valid Unicode. Rename the file.") from exc
    if not key:
        raise Rejected("An object needs a name: the empty key was refused before S3 was asked.")
    if size > KEY_BYTES:
        raise Rejected(
            f"The key {key[:40]!r}... has {size} bytes with its prefix and S3 allows {KEY_BYTES}. "
            "Shorten the name of the file or of its directories."
        )
    if not {".", ".."}.isdisjoint(key.split("/")):
        raise Rejected(
            f"The key {key!r} has a segment '.' or '..', which could leave the prefix of this "
            "mount. Rename the object with the tool that made it."
        )


def check_listing(prefix: str) -> None:
    """Refuse a listing that is not of a directory. Raises Rejected."""
    if prefix and not prefix.endswith("/"):
        raise Rejected(f"Only directories are listed: {prefix!r} does not end with '/'.")


def check_range(info: ObjectInfo, start: int, stop: int) -> None:
    """Refuse a range that *info* does not have. Raises Rejected."""
    if not 0 <= start <= stop <= info.size:
        raise Rejected(
            f"Bytes {start} to {stop} of {info.key!r} were asked for, which has {info.size}. "
            "Open the file again."
        )


def check_part_number(number: int) -> None:
    """Refuse a part number outside 1-10,000. Raises Rejected."""
    if not 1 <= number <= PART_NUMBERS:
        raise Rejected(
            f"Part number {number} is not between 1 and {PART_NUMBERS}. "
            "The file is too large for its part size: mount with a larger --part-size."
        )


def check_copy(
    source: ObjectInfo, target: str, headers: ObjectHeaders | None, *, maximum: int = PART_MAXIMUM
) -> None:
    """Refuse a copy that S3 answers with 400 InvalidRequest. Raises Rejected, TooLarge."""
    if source.key == target and headers is None:
        raise Rejected(
            f"Copying {target!r} onto itself without new headers is refused by S3. Give headers."
        )
    if source.size > maximum:
        raise TooLarge(
            f"{source.key!r} has {source.size} bytes and one copy takes {maximum}. "
            "Copy it in parts."
        )


def check_parts(parts: Sequence[PartReceipt]) -> None:
    """Refuse parts that no upload can be completed with. Raises Rejected.

    API CompleteMultipartUpload: at least one; with checksums numbered 1, 2, 3 and so on.
    """
    if not parts:
        raise Rejected("An upload without parts cannot be completed. Put an empty object.")
    if [part.number for part in parts] != list(range(1, len(parts) + 1)):
        raise Rejected("The parts are not numbered 1, 2, 3 and so on. Send the missing ones.")


def check_delete(key: str, expect: Expect) -> None:
    """Refuse a condition that DeleteObject does not have. Raises Rejected."""
    if expect == "absent":
        raise Rejected(f"Deleting {key!r} cannot expect that it is absent. Name its version.")


def check_deletes(versions: Sequence[Version], *, prefix: str = "") -> None:
    """Refuse what DeleteObjects does not take. Raises Rejected."""
    if len(versions) > PAGE_ENTRIES:
        raise Rejected(f"{len(versions)} objects are too many for one request; send fewer.")
    for key, expect in versions:
        check_key(key, prefix=prefix)
        check_delete(key, expect)
