"""Bytes that arrive: counted, summed, written.

Owns the comparison of what came with what was announced.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator

from cognitofs.errors import Corrupted, SpoolDamaged, Unreachable
from cognitofs.store import answers
from cognitofs.store.interface import ObjectInfo


def check_sent(key: str, sent: str, returned: str) -> None:
    """Compare two checksums, if both are known. Raises Corrupted."""
    if sent and returned and sent != returned:
        raise Corrupted(f"S3 holds other bytes of {key!r} than were sent. Send it again.")


def check_received(
    info: ObjectInfo, size: int, received: Iterable[bytes], answer: answers.Answer
) -> None:
    """Consume *received* and compare its length, and its checksum if S3 sent one.

    Raises Unreachable when it is short, Corrupted.
    """
    expected, summer = answers.announced(answer.headers)
    counted = _Counted(received)
    actual = summer(counted) if summer is not None else _drained(counted)
    if counted.size != size:
        raise Unreachable(f"The connection broke while {info.key!r} was read. Try again.")
    if actual != expected:
        raise Corrupted(f"The bytes of {info.key!r} were damaged on the way. Read it again.")


def _drained(source: Iterable[bytes]) -> str:
    deque(source, maxlen=0)
    return ""


class _Counted:
    """Passes blocks on and knows how many bytes they had."""

    def __init__(self, source: Iterable[bytes]) -> None:
        self._source = source
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._source:
            self.size += len(block)
            yield block


def writing(source: Iterable[bytes], fd: int, offset: int) -> Iterator[bytes]:
    """Pass blocks on, each written to *fd*. Raises SpoolDamaged."""
    for block in source:
        try:
            written = os.pwrite(fd, block, offset)
        except OSError as exc:
            raise SpoolDamaged(
                f"The local cache could not be written ({exc.strerror}). "
                "Check the disk that holds it, and its free space."
            ) from exc
        if written != len(block):
            raise SpoolDamaged("The disk that holds the local cache is full. Make room on it.")
        offset += len(block)
        yield block
