"""Label: what a spool file says about itself, should the journal be lost.

An extended attribute of the file. Owns its name and its form; who writes it when is
`spoolfile.py`'s, what is made of it `damage.py`'s. Pure.

INVARIANT: a label that was not read back as it was written is no label.
"""

import json
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from cognitofs.spool.seal import Seal
from cognitofs.store.interface import ETag
from cognitofs.store.records import decode_headers, decode_info, encode_headers, encode_info

NAME = "user.cognitofs"
"""Of the extended attribute."""

FORMAT = 1
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Label:
    """What is written on a spool file.

    `seal` is None until it is sealed. `is_durable` says that the bytes were synced before anyone
    was told; `boot` is the machine's run in which others are as good. `at` counts nanoseconds.
    `base` is the ETag of the version that an unsealed file is to replace.
    """

    key: str
    seal: Seal | None = None
    replaces: tuple[str, ...] = ()
    is_durable: bool = False
    boot: str = ""
    at: int = 0
    base: str = ""

    def has_all_bytes(self, boot: str) -> bool:
        """Tell whether the sealed bytes are in the file, in the machine's run *boot*."""
        if self.seal is None or self.seal.given_up or self.seal.damaged:
            return False  # only the multipart upload has them, and only the journal its id
        return self.is_durable or (bool(boot) and boot == self.boot)


class Labels(Protocol):
    """Keeps beside the bytes of a spool file what the journal says of it."""

    def relabel(self, seal: Seal) -> None:
        """Let the label of a sealed file follow *seal*."""
        ...

    def unlabel(self, name: str) -> None:
        """Take the label off."""
        ...


def this_boot() -> str:
    """Return what names the machine's present run, "" where nothing does."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def new_label(seal: Seal, boot: str, *, replaces: tuple[str, ...] = (), durable: bool) -> Label:
    """Return the label of a seal that is being made now."""
    return Label(seal.key, seal, replaces, durable, boot, time.time_ns())


def encode_label(label: Label) -> bytes:
    """Return *label* as the bytes of an attribute, its checksum first."""
    body = {
        "format": FORMAT,
        "txid": "" if label.seal is None else label.seal.txid,
        "key": label.key,
        "seal": None if label.seal is None else _plain(label.seal),
        "replaces": label.replaces,
        "durable": label.is_durable,
        "boot": label.boot,
        "at": label.at,
        "base": label.base,
    }
    text = json.dumps(body, separators=(",", ":")).encode()
    return b"%08x " % zlib.crc32(text) + text


def mark_of(seal: Seal) -> bytes:
    """Return what is in the label of *seal*, and in that of no seal that supersedes it."""
    return b'"txid":"%s"' % seal.txid.encode()


def decode_label(data: bytes) -> Label | None:
    """Return the label that `encode_label` wrote, None for anything else."""
    crc, _, text = data.partition(b" ")
    try:
        if int(crc, 16) != zlib.crc32(text):
            return None
        found: dict[str, Any] = json.loads(text)
        if found["format"] != FORMAT:
            return None
        label = Label(found["key"], None, tuple(found["replaces"]), found["durable"])
        label = replace(label, boot=found["boot"], at=found["at"], base=found.get("base", ""))
        return replace(label, seal=_seal(found["seal"]))
    except (ValueError, KeyError, TypeError):
        return None


def _plain(seal: Seal) -> dict[str, object]:
    return {
        "id": seal.id,
        "key": seal.key,
        "size": seal.size,
        "touched": seal.touched,
        "base": encode_info(seal.base),
        "base_limit": seal.base_limit,
        "expect": seal.expect,
        "headers": encode_headers(seal.headers),
        "supersedes": seal.supersedes,
        "leaves": seal.leaves,
        "given_up": seal.given_up,
    }


def _seal(plain: dict[str, Any] | None) -> Seal | None:
    if plain is None:
        return None
    return Seal(
        id=plain["id"],
        key=plain["key"],
        size=plain["size"],
        touched=tuple((start, stop) for start, stop in plain["touched"]),
        base=decode_info(plain["base"]),
        base_limit=plain["base_limit"],
        expect=ETag(plain["expect"]),
        headers=decode_headers(plain["headers"]),
        supersedes=tuple(plain["supersedes"]),
        leaves=tuple((where, txid) for where, txid in plain["leaves"]),
        given_up=tuple((start, stop) for start, stop in plain["given_up"]),
    )
