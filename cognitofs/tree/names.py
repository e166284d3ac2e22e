"""File names and object keys: what is allowed, what is hidden, and why. Pure.

A key below the mount's prefix is the path without its leading slash; a directory's key ends in "/".
Names are never normalised: what cannot be a name as it stands is hidden, counted and left alone
(joining or cleaning such keys is how other tools were led out of their prefix).
"""

from cognitofs.errors import NameNotAllowed, NameTooLong

NAME_MAXIMUM = 255
"""Bytes; NAME_MAX of Linux."""

KEY_MAXIMUM = 1024
"""Bytes of UTF-8, the prefix included; limit of S3."""


def decode_name(name: bytes) -> str:
    """Return a name from the kernel as text. Raises NameNotAllowed, NameTooLong."""
    if len(name) > NAME_MAXIMUM:
        raise NameTooLong("The name is longer than 255 bytes; choose a shorter one.")
    try:
        return name.decode()
    except UnicodeDecodeError as exc:
        raise NameNotAllowed("The name is not valid UTF-8; S3 keys must be.") from exc


def decode_target(target: bytes) -> str:
    """Return a link's target from the kernel as text. Raises NameNotAllowed."""
    try:
        return target.decode()
    except UnicodeDecodeError as exc:
        raise NameNotAllowed("The link's target is not valid UTF-8; choose another one.") from exc


def encode_name(name: str) -> bytes:
    """Return a name for the kernel."""
    return name.encode()


def is_at_or_below(key: str, place: str) -> bool:
    """Tell whether *key* is *place* or, where that is a directory's key, below it."""
    return key == place or ((not place or place.endswith("/")) and key.startswith(place))


def is_representable(segment: str) -> bool:
    """Tell whether one segment of a key can be a file name."""
    if segment in ("", ".", "..") or "\0" in segment or "/" in segment:
        return False
    try:
        return len(segment.encode()) <= NAME_MAXIMUM
    except UnicodeEncodeError:  # a lone surrogate: it was no UTF-8
        return False


def check_key(key: str, prefix_bytes: int) -> None:
    """Refuse a key that S3 would refuse. Raises NameTooLong."""
    if len(key.encode()) + prefix_bytes > KEY_MAXIMUM:
        raise NameTooLong("The path is too long: with the prefix its S3 key would pass 1024 bytes.")


def order(name: str, *, is_directory: bool) -> bytes:
    """Return the place of an entry in a listing: S3 sorts keys by their bytes."""
    return (name + "/" if is_directory else name).encode()


def is_trash(name: str) -> bool:
    """Tell whether desktops make such a directory at the top of a volume for deleted files.

    Source: FreeDesktop.org Trash Specification, "Trash directories" ($topdir/.Trash and
    $topdir/.Trash-$uid). In a bucket it would keep, and bill, everything that was deleted.
    """
    return name == ".Trash" or (name.startswith(".Trash-") and name[7:].isdigit())
