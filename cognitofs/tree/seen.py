"""Seen: what S3 said of one name, and how that compares with what is known. Pure."""

from dataclasses import dataclass

from cognitofs.store.interface import ObjectHead, ObjectInfo
from cognitofs.tree.attributes import may_be_symlink
from cognitofs.tree.inodes import Inode
from cognitofs.tree.listing import Listing

SAME_MOMENT = 2
"""Seconds. LastModified of our own commits is known from the answer's Date only."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What S3 said of one name: a version of an object, or a directory."""

    is_directory: bool
    head: ObjectHead | None = None
    info: ObjectInfo | None = None


def seen_in(listing: Listing, name: str) -> Seen | None:
    """Return what a listing says of *name*; None when it is not there."""
    entry = listing.entries.get(name)
    return None if entry is None else Seen(entry.is_directory, info=entry.info)


def may_turn_out_a_symlink(inode: Inode) -> bool:
    """Tell whether only a HEAD can say what kind *inode* is."""
    remote = inode.remote
    return (
        remote is not None
        and inode.headers is None
        and not inode.is_directory
        and may_be_symlink(remote)
    )


def is_same(child: Inode, seen: Seen) -> bool:
    """Tell whether what was seen is what *child* stands for."""
    if seen.is_directory or child.is_directory:
        return seen.is_directory and child.is_directory
    return (
        child.remote is not None and seen.info is not None and child.remote.etag == seen.info.etag
    )


def key_before(key: str) -> str:
    """Return a key that sorts right before *key*: LIST begins behind it."""
    last = ord(key[-1]) - 1
    if last < 0 or 0xD800 <= last <= 0xDFFF:
        return key[:-1]
    return key[:-1] + chr(last) + "\U0010ffff"
