"""SpoolFile: the unsent bytes of one file, and how they become durable.

Does not know what the bytes are for: that is the journal's. Its name is `spooldirectory.py`'s.

INVARIANT: a spool file is unlinked only by `discard` or `detach`, after its journal row is gone.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from cognitofs.errors import SpoolDamaged, SpoolError
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.labels import Label, encode_label, new_label
from cognitofs.spool.namedfile import NamedFile
from cognitofs.spool.seal import Seal
from cognitofs.spool.sparsefile import BLOCK, local_disk
from cognitofs.spool.writtensums import WrittenSums

if TYPE_CHECKING:
    from cognitofs.spool.spooldirectory import SpoolDirectory

_FICLONE = 0x40049409
"""ioctl of linux/fs.h: share the extents of another file (btrfs, xfs, bcachefs)."""

_END = 1 << 63
_CANNOT_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)


class SpoolFile(NamedFile):
    """A sparse file with a name in the spool directory.

    Its descriptor may be parked while nobody uses it and the disk has all that was written: what
    waits for S3 for days must not use up the descriptors of the process.

    `is_suspect` says that the disk refused a sync: the kernel may have dropped pages since, so what
    is read back counts only where it has the sum of what was written (`rescued`). `damaged` are
    ranges where it has not.
    """

    def __init__(
        self, directory: "SpoolDirectory", name: str, fd: int, held: ExtentMap | None = None
    ) -> None:
        super().__init__(directory, name, fd, held)
        self._directory = directory
        self._charged = 0
        self._is_counted = True
        self.count()
        self._name_is_durable = held is not None
        self._is_synced = self._is_labelled = held is not None
        self._sums = WrittenSums()
        self.is_suspect = False
        self.damaged = ExtentMap()

    @property
    def may_park(self) -> bool:
        """See `NamedFile.may_park`: also, the disk has all that was written."""
        return super().may_park and self._is_synced

    def count(self) -> None:
        """Tell the spool how many bytes are held here now."""
        held = self.held.total() if self._is_counted else 0
        change, self._charged = held - self._charged, held
        if change:
            self._directory.space.charge(change)

    def note_progress(self) -> None:
        """Note that S3 acknowledged some of it: writers who wait for room may go on waiting."""
        self._directory.space.note_progress()

    def _count_no_more(self) -> None:
        self._is_counted = False
        self.count()

    async def write(self, start: int, data: bytes) -> None:
        """See `SparseFile.write`; what it takes is counted."""
        self._is_synced = False
        stop = start + len(data)
        self._sums.cut(start, stop, self._pread)
        try:
            await super().write(start, data)
        finally:
            self.count()
        self._sums.add(start, data)
        self.damaged.discard(start, stop)

    async def read(self, start: int, stop: int) -> bytes:
        """See `SparseFile.read`. Raises SpoolDamaged where it is not what was written."""
        if self.damaged.overlaps(start, stop):
            raise SpoolDamaged(
                "The local disk does not give these bytes back as they were written; check the"
                " disk of the state directory."
            )
        return await super().read(start, stop)

    def resize(self, size: int) -> None:
        """See `SparseFile.resize`; what it frees is counted."""
        self._is_synced = False
        self._sums.cut(size, _END, self._pread)
        self.damaged.discard(size, _END)
        super().resize(size)
        self.count()

    def give_up(self, start: int, stop: int) -> None:
        """Give the space of [start, stop) back: the journal says that S3 alone has these bytes."""
        self._sums.cut(start, stop, self._pread)
        self.punch(start, stop)
        self.given_up.add(start, stop)
        self.count()

    def write_label(self, label: Label) -> None:
        """Say in an attribute of the file what it is, should the journal be lost."""
        self._directory.write_label(self.fd, encode_label(label))

    def mark(self, key: str, base: str) -> None:
        """Say whose bytes these are to be, before they are sealed: lost+found names them then."""
        if self.name and not self._is_labelled:
            self.write_label(Label(key, boot=self._directory.boot, at=time.time_ns(), base=base))

    def label(self, seal: Seal, *, replaces: Iterable[str] = (), durable: bool) -> None:
        """Label it with *seal*, which takes the place of the rows *replaces*.

        A *durable* one is written behind `make_durable`: a label that survives a power cut must
        not speak of bytes that did not. It reaches the disk with the journal's next sync.
        """
        self._is_labelled = True
        others = tuple(old for old in replaces if old != seal.id)
        self.write_label(new_label(seal, self._directory.boot, replaces=others, durable=durable))

    async def make_durable(self) -> None:
        """Return when the bytes and the name survive a power cut (fdatasync, fsync of directory).

        Raises SpoolFull, SpoolDamaged. The kernel may have dropped the bytes then and would say
        yes the next time: the file is suspect, and never synced again (see `rescued`).
        """
        with self.in_use():
            era = self._sums.begin_sync()
            self._is_synced = True  # unless something is written meanwhile
            try:
                await trio.to_thread.run_sync(self._sync)
            except BaseException:
                self._is_synced = False
                raise
        self._name_is_durable = True
        self._sums.synced(era)
        self._directory.descriptors.trim()

    def _sync(self) -> None:
        if self.is_suspect:
            raise SpoolDamaged("The local disk has refused to sync these bytes before.")
        fd = self.fd
        try:
            with local_disk("syncing the spool"):
                os.fdatasync(fd)
                if not self._name_is_durable:
                    os.fsync(self._directory.fd)
        except SpoolError:
            self.is_suspect = True
            raise

    async def verify(self) -> None:
        """Set `damaged` of a suspect file: where it does not hold what was written."""
        sums = self._sums.copy()  # a thread may not look at what changes
        with self.in_use():
            self.damaged = await trio.to_thread.run_sync(sums.differing, self._pread)

    async def rescued(self) -> "SpoolFile":
        """Return a durable copy of a suspect file, compared with what was written.

        Returns this file, with `damaged` set, when it does not hold that any more; or this one,
        suspect still, when others of its bytes are only in an upload that is bound to its name.
        Raises SpoolFull, SpoolDamaged when there cannot be a copy now. Nobody may write meanwhile.
        """
        held, sums = self.held.copy(), self._sums.copy()
        with self.in_use():
            return await trio.to_thread.run_sync(self._rescue, held, sums)

    def _rescue(self, held: ExtentMap, sums: WrittenSums) -> "SpoolFile":
        if self.given_up:
            self.damaged = sums.differing(self._pread)
            return self
        twin = self._directory.create()
        try:
            with local_disk("copying a spool file"):
                self._copy_extents(twin, held)
            self.damaged = sums.differing(twin._pread)
            if not self.damaged:
                twin._sync()
        except BaseException:
            twin.discard()
            raise
        if self.damaged:
            twin.discard()
            return self
        twin.held, twin._name_is_durable, twin._is_synced = held, True, True
        trio.from_thread.run_sync(twin.count)
        return twin

    async def clone(self) -> "SpoolFile":
        """Return a new spool file with the same held bytes, sharing blocks where possible."""
        # Taken now: what a fill adds while the thread copies is not promised to be copied, and a
        # sync that ends then changes the sums.
        state = (self.held.copy(), self.given_up.copy(), self.damaged.copy(), self._sums.copy())
        with self.in_use():
            return await trio.to_thread.run_sync(self._clone, *state)

    def _clone(
        self, held: ExtentMap, given_up: ExtentMap, damaged: ExtentMap, sums: WrittenSums
    ) -> "SpoolFile":
        twin = self._directory.create()
        try:
            with local_disk("copying a spool file"):
                self._copy_to(twin, held)
        except BaseException:
            twin.discard()
            raise
        twin.held, twin.given_up, twin.damaged, twin._sums = held, given_up, damaged, sums
        twin.is_suspect = self.is_suspect  # they may share blocks
        trio.from_thread.run_sync(twin.count)
        return twin

    def _copy_to(self, twin: "SpoolFile", held: ExtentMap) -> None:
        try:
            fcntl.ioctl(twin.fd, _FICLONE, self.fd)
        except OSError as exc:
            if exc.errno not in _CANNOT_CLONE:
                raise
            self._copy_extents(twin, held)

    def _copy_extents(self, twin: "SpoolFile", held: ExtentMap) -> None:
        os.ftruncate(twin.fd, os.fstat(self.fd).st_size)
        for extent in held:
            at = extent.start
            while at < extent.stop:
                data = os.pread(self.fd, min(BLOCK, extent.stop - at), at)
                os.pwrite(twin.fd, data, at)
                at += len(data)

    def discard(self) -> None:
        """Forget the bytes: unlink and close."""
        if self.name:
            self._directory.unlink(self.name)
        self._count_no_more()
        self.close()

    def hand_over(self) -> "SpoolFile":
        """Return another handle on the file, which has the name from now on; this one has none."""
        with local_disk("duplicating a descriptor"):
            fd = os.dup(self.fd)
        self._count_no_more()
        heir = SpoolFile(self._directory, self.name, fd, self.held.copy())
        heir._is_synced, heir.is_suspect = self._is_synced, self.is_suspect
        heir._sums, heir.damaged = self._sums.copy(), self.damaged.copy()
        heir.given_up = self.given_up.copy()
        self.name = ""
        return heir

    def move_to(self, directory: int, name: str) -> bool:
        """Move the file, which is on S3 now, into *directory* (a descriptor) as *name*, and close.

        False when it stays, because that is another file system or the bytes are not to be trusted.
        """
        if self.is_suspect or self.damaged:
            return False
        try:
            os.rename(self.name, name, src_dir_fd=self._directory.fd, dst_dir_fd=directory)
        except OSError:
            return False
        self.name = ""
        self.discard()
        return True

    def detach(self) -> NamedFile:
        """Unlink the name; the bytes live on as a nameless file (they are on S3 now)."""
        try:
            is_open = self.fd >= 0 and not (self.is_suspect or self.damaged)
        except SpoolError:
            is_open = False  # S3 has them, so nobody needs them here
        self._directory.unlink(self.name)
        self._count_no_more()
        self.name = ""
        if not is_open:
            self.held.discard(0, 1 << 63)
        return self
