"""SpoolFile: the unsent bytes of one file; SpoolDirectory: where they all lie.

Owns the names in `spool/` (32 hex digits, never derived from a user's path) and `lost+found/`,
and how a spool file becomes durable. Does not know what the bytes are for: that is the journal's.

INVARIANT: everything is opened relative to a directory descriptor, with O_NOFOLLOW, mode 0600.
INVARIANT: a spool file is unlinked only by `discard` or `detach`, after its journal row is gone.
"""

import errno
import fcntl
import json
import os
import secrets
from pathlib import Path

import trio

from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.space import Space
from cognitofs.spool.sparsefile import BLOCK, DiskPace, SparseFile, local_disk

_FICLONE = 0x40049409
"""ioctl of linux/fs.h: share the extents of another file (btrfs, xfs, bcachefs)."""

_CANNOT_CLONE = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS)


class SpoolFile(SparseFile):
    """A sparse file with a name in the spool directory."""

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
        try:
            await super().write(start, data)
        finally:
            self.count()

    def resize(self, size: int) -> None:
        """See `SparseFile.resize`; what it frees is counted."""
        super().resize(size)
        self.count()

    async def make_durable(self) -> None:
        """Return when the bytes and the name survive a power cut (fdatasync, fsync of directory).

        Raises SpoolDamaged; the kernel may have dropped the bytes then, so never call it a
        second time for the same bytes and trust the answer.
        """
        with self.in_use():
            await trio.to_thread.run_sync(self._sync)
        self._name_is_durable = True

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
        twin.held = held
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
        self.name = ""
        return heir

    def detach(self) -> SparseFile:
        """Unlink the name; the bytes live on as a nameless file (they are on S3 now)."""
        self._directory.unlink(self.name)
        self._count_no_more()
        return self


class SpoolDirectory:
    """The directories `spool` and `lost+found` below a state directory."""

    def __init__(self, state: Path, space: Space | None = None) -> None:
        self.pace = DiskPace()
        self.space = space or Space(state)
        self.lost_found = state / "lost+found"
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

    def open(self, name: str, held: ExtentMap) -> SpoolFile:
        """Open the file of a journal row. Raises SpoolDamaged when it is missing."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        with local_disk(f"opening spool file {name}"):
            return SpoolFile(self, name, os.open(name, flags, dir_fd=self.fd), held)

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
