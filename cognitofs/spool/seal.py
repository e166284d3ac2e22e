"""Seal: the frozen description of what a file held when it was closed or synced.

Owns the noun. It is everything an upload needs beside the bytes,
so that another process can finish the upload after a crash.
"""

import secrets
from dataclasses import dataclass

from cognitofs.spool.extents import ExtentMap
from cognitofs.store.interface import Expect, ObjectHeaders, ObjectInfo
from cognitofs.store.records import TXID


def new_txid() -> str:
    """Return a fresh token for one commit: 128 random bits."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Seal:
    """Content of one key, frozen.

    `id` names the journal row, and the spool file when `has_spool`. `touched` are the ranges that
    differ from `base`; bytes below `base_limit` outside them are the base's, all others zeros.
    `headers` carry the txid, which S3 gives back in a HEAD: our proof after a lost answer.
    `supersedes` are the txids of earlier seals of this file whose commit may or may not be on S3;
    `leaves` are (key, txid) of such commits under names that the file had before: what is found
    there is removed once this seal is on S3. `given_up` are ranges that are only in the multipart
    upload of this seal: their disk space was needed. `damaged` are ranges that the disk does not
    give back as they were written: nothing of it may be sent.
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
    leaves: tuple[tuple[str, str], ...] = ()
    given_up: tuple[tuple[int, int], ...] = ()
    damaged: tuple[tuple[int, int], ...] = ()

    @property
    def txid(self) -> str:
        """The token of this commit."""
        return self.headers.metadata.get(TXID, "")

    @property
    def is_here(self) -> bool:
        """Tell whether all bytes are in the spool file."""
        return not self.needs_base and not self.given_up

    @property
    def needs_base(self) -> bool:
        """Tell whether some bytes must come from the base object."""
        return self.base is not None and bool(
            ExtentMap(self.touched).gaps(0, min(self.base_limit, self.size))
        )
