"""SpoolFile: the unsent bytes of one file; SpoolDirectory: where they all lie.

Owns the names in `spool/` (32 hex digits, never derived from a user's path) and `lost+found/`,
and how a spool file becomes durable. Does not know what the bytes are for: that is the journal's.

INVARIANT: everything is opened relative to a directory descriptor, with O_NOFOLLOW, mode 0600.
INVARIANT: a spool file is unlinked only by `discard` or `detach`, after its journal row is gone.
"""

import errno
import fcntl
import json
import logging
import os
import secrets
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import trio

from cognitofs.errors import SpoolDamaged, SpoolError
from cognitofs.spool.descriptors import Descriptors
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.labels import NAME as LABEL
from cognitofs.spool.labels import Label, decode_label, encode_label, new_label, this_boot
from cognitofs.spool.seal import Seal
from cognitofs.spool.space import Space
from cognitofs.spool.sparsefile import BLOCK, DiskPace, SparseFile, local_disk

_FICLONE = 0x40049409
"""ioctl of linux/fs.h: share the extents of another file (btrfs, xfs, bcachefs)."""

_log = logging.getLogger(__name__)
_CANNOT_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)


class SpoolFile(SparseFile):
    """A sparse file with a name in the spool directory.

    Its descriptor may be parked while nobody uses it and the disk has all that was written: what
    waits for S3 for days must not use up the descriptors of the process.
    """

    def __init__(
        self, directory: "SpoolDirectory", name: str, fd: int, held: ExtentMap | None = None
    ) -> None:
        super().__init__(fd, directory.pace, held)
        self.name = name
        self._directory = directory
        self._charged = 0
        self._is_counted = True
        self.count()
        self._name_is_durable = held is not None
        self._is_synced = held is not None
        if fd >= 0:
            directory.descriptors.opened(self)

    @property
    def fd(self) -> int:
        """The descriptor, opened again if it was parked. Raises SpoolDamaged, TooManyOpen."""
        if self._fd < 0 and self.name and not self._closed:
            self._directory.descriptors.trim()
            self._fd = self._directory.descriptor(self.name)
            self._directory.descriptors.opened(self)
        return self._fd

    def park(self) -> bool:
        """Close the descriptor until it is needed; False when that may not be now."""
        if self._users or not self._is_synced or not self.name or self._fd < 0:
            return False
        os.close(self._fd)
        self._fd = -1
        return True

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
        try:
            await super().write(start, data)
        finally:
            self.count()

    def resize(self, size: int) -> None:
        """See `SparseFile.resize`; what it frees is counted."""
        self._is_synced = False
        super().resize(size)
        self.count()

    def give_up(self, start: int, stop: int) -> None:
        """Give the space of [start, stop) back: the journal says that S3 alone has these bytes."""
        self.punch(start, stop)
        self.given_up.add(start, stop)
        self.count()

    def write_label(self, label: Label) -> None:
        """Say in an attribute of the file what it is, should the journal be lost."""
        self._directory.write_label(self.fd, encode_label(label))

    def label(self, seal: Seal, *, replaces: Iterable[str] = (), durable: bool) -> None:
        """Label it with *seal*, which takes the place of the rows *replaces*.

        A *durable* one is written behind `make_durable`: a label that survives a power cut must
        not speak of bytes that did not. It reaches the disk with the journal's next sync.
        """
        others = tuple(old for old in replaces if old != seal.id)
        self.write_label(new_label(seal, self._directory.boot, replaces=others, durable=durable))

    async def make_durable(self) -> None:
        """Return when the bytes and the name survive a power cut (fdatasync, fsync of directory).

        Raises SpoolDamaged; the kernel may have dropped the bytes then, so never call it a
        second time for the same bytes and trust the answer.
        """
        with self.in_use():
            self._is_synced = True  # unless something is written meanwhile
            try:
                await trio.to_thread.run_sync(self._sync)
            except BaseException:
                self._is_synced = False
                raise
        self._name_is_durable = True
        self._directory.descriptors.trim()

    def _sync(self) -> None:
        with local_disk("syncing the spool"):
            os.fdatasync(self.fd)
            if not self._name_is_durable:
                os.fsync(self._directory.fd)

    async def clone(self) -> "SpoolFile":
        """Return a new spool file with the same held bytes, sharing blocks where possible."""
        # Taken now: what a fill adds while the thread copies is not promised to be copied.
        held = self.held.copy()
        with self.in_use():
            return await trio.to_thread.run_sync(self._clone, held)

    def _clone(self, held: ExtentMap) -> "SpoolFile":
        twin = self._directory.create()
        try:
            with local_disk("copying a spool file"):
                self._copy_to(twin, held)
        except BaseException:
            twin.discard()
            raise
        twin.held, twin.given_up = held, self.given_up.copy()
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

    def _close_if_unused(self) -> None:
        super()._close_if_unused()
        if self._fd < 0:
            self._directory.descriptors.closed(self)

    def hand_over(self) -> "SpoolFile":
        """Return another handle on the file, which has the name from now on; this one has none."""
        with local_disk("duplicating a descriptor"):
            fd = os.dup(self.fd)
        self._count_no_more()
        heir = SpoolFile(self._directory, self.name, fd, self.held.copy())
        heir._is_synced = self._is_synced
        heir.given_up = self.given_up.copy()
        self.name = ""
        return heir

    def detach(self) -> SparseFile:
        """Unlink the name; the bytes live on as a nameless file (they are on S3 now)."""
        try:
            is_open = self.fd >= 0
        except SpoolError:
            is_open = False  # S3 has them, so nobody needs them here
        self._directory.unlink(self.name)
        self._count_no_more()
        self.name = ""
        if not is_open:
            self.held.discard(0, 1 << 63)
        return self


def _is_private(found: os.stat_result) -> bool:
    """Tell whether it is a plain file that only we have a name for."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


class SpoolDirectory:
    """The directories `spool` and `lost+found` below a state directory."""

    def __init__(self, state: Path, space: Space | None = None) -> None:
        self.pace = DiskPace()
        self.descriptors: Descriptors[SpoolFile] = Descriptors()
        self.space = space or Space(state)
        self.lost_found = state / "lost+found"
        self.boot = this_boot()
        self._may_label = True
        with local_disk("opening the spool"):
            for path in (state / "spool", self.lost_found):
                path.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            self.fd = os.open(state / "spool", flags)
            self._lost_fd = os.open(self.lost_found, flags)

    def create(self) -> SpoolFile:
        """Make an empty spool file."""
        name = secrets.token_hex(16)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with local_disk("creating a spool file"):
            return SpoolFile(self, name, os.open(name, flags, 0o600, dir_fd=self.fd))

    def open(
        self, name: str, held: ExtentMap, given_up: Sequence[tuple[int, int]] = ()
    ) -> SpoolFile:
        """Return the file of a journal row; a descriptor is opened when it is needed."""
        for start, stop in given_up:
            held.discard(start, stop)
        file = SpoolFile(self, name, -1, held)
        file.given_up = ExtentMap(given_up)
        return file

    def descriptor(self, name: str) -> int:
        """Open the file *name*. Raises SpoolDamaged when it is missing or not ours, TooManyOpen."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with local_disk(f"opening spool file {name}"):
            fd = os.open(name, flags, dir_fd=self.fd)
        if not _is_private(os.fstat(fd)):
            os.close(fd)
            raise SpoolDamaged(
                f"The spool file {name} has other names or another owner, so it may not be what"
                " was closed; look who works in the state directory."
            )
        return fd

    def write_label(self, fd: int, data: bytes) -> None:
        """Set the label of the open file *fd*; where that cannot be, the journal must do alone."""
        try:
            os.setxattr(fd, LABEL, data)
        except OSError as exc:
            if exc.errno == errno.EOPNOTSUPP and self._may_label:
                self._may_label = False
                _log.warning(
                    "The file system of the state directory keeps no extended attributes: should"
                    " the journal be damaged, what waits for S3 is kept without its names."
                )
            elif exc.errno != errno.EOPNOTSUPP:  # too long, or the disk is full
                _log.info("A spool file could not be labelled: %s", exc.strerror)
                with suppress(OSError):
                    os.removexattr(fd, LABEL)

    def label_of(self, name: str, *, unless: bytes = b"") -> Label | None:
        """Return what the spool file *name* says of itself, None if nothing or if it has *unless*.

        That is looked for first: it costs less than to understand the label.
        """
        try:
            fd = self.descriptor(name)
        except SpoolError:
            return None
        try:
            data = os.getxattr(fd, LABEL)
        except OSError:
            return None
        finally:
            os.close(fd)
        return None if unless and unless in data else decode_label(data)

    def unlabel(self, name: str) -> None:
        """Let the spool file *name* say nothing any more."""
        try:
            fd = self.descriptor(name) if self._may_label else -1
        except SpoolError:
            return
        with suppress(OSError):
            os.removexattr(fd, LABEL)
        if fd >= 0:
            os.close(fd)

    def relabel(self, seal: Seal) -> None:
        """Let the label of a sealed file follow *seal*: another name, or another precondition."""
        found = self.label_of(seal.id) if seal.has_spool and self._may_label else None
        if found is None or found.seal == seal:
            return
        with suppress(SpoolError):
            fd = self.descriptor(seal.id)
            try:
                self.write_label(fd, encode_label(replace(found, key=seal.key, seal=seal)))
            finally:
                os.close(fd)

    def names(self) -> list[str]:
        """Return the names of all spool files."""
        with local_disk("listing the spool"):
            return sorted(os.listdir(self.fd))

    def unlink(self, name: str) -> None:
        """Remove a spool file; a missing one is no error."""
        with local_disk("removing a spool file"):
            try:
                os.unlink(name, dir_fd=self.fd)
            except FileNotFoundError:
                return

    def give_up(self, name: str, note: dict[str, object]) -> bool:
        """Move a spool file to lost+found, with *note* beside it; an empty one just goes.

        Returns whether there was anything to keep.
        """
        with local_disk("moving a spool file to lost+found"):
            found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            if not found.st_size:
                os.unlink(name, dir_fd=self.fd)
                return False
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(f"{name}.json", flags, 0o600, dir_fd=self._lost_fd)
            with os.fdopen(fd, "w") as file:
                json.dump(note, file, indent=1)
            os.rename(name, name, src_dir_fd=self.fd, dst_dir_fd=self._lost_fd)
        return True

    def close(self) -> None:
        """Close the directory descriptors."""
        os.close(self.fd)
        os.close(self._lost_fd)
