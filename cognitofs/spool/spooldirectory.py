"""SpoolDirectory: where the unsent bytes of all files lie, and where the unclaimed ones end.

Owns the names in `spool/` (32 hex digits, never derived from a user's path) and `lost+found/`.

INVARIANT: everything is opened relative to a directory descriptor, with O_NOFOLLOW, mode 0600.
"""

import errno
import logging
import os
import secrets
import socket
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cognitofs.errors import SpoolDamaged, SpoolError
from cognitofs.quantities import time_text
from cognitofs.spool import lostfound
from cognitofs.spool.descriptors import Descriptors
from cognitofs.spool.extents import ExtentMap
from cognitofs.spool.labels import NAME as LABEL
from cognitofs.spool.labels import Label, decode_label, encode_label, this_boot
from cognitofs.spool.lostfound import Note
from cognitofs.spool.namedfile import NamedFile
from cognitofs.spool.seal import Seal
from cognitofs.spool.space import Space
from cognitofs.spool.sparsefile import DiskPace, local_disk
from cognitofs.spool.spoolfile import SpoolFile

_log = logging.getLogger(__name__)


def _is_private(found: os.stat_result) -> bool:
    """Tell whether it is a plain file that only we have a name for."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


class SpoolDirectory:
    """The directories `spool` and `lost+found` below a state directory."""

    def __init__(self, state: Path, space: Space | None = None) -> None:
        self.pace = DiskPace()
        self.descriptors: Descriptors[NamedFile] = Descriptors()
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

    def cut(self, name: str, size: int) -> None:
        """Let nothing lie behind *size*: bytes that nobody had closed before a crash.

        Else they would be in the file again where it is made longer, in place of zeros.
        """
        with local_disk("cutting a spool file"):
            if os.stat(name, dir_fd=self.fd, follow_symlinks=False).st_size <= size:
                return
        fd = self.descriptor(name)
        try:
            with local_disk("cutting a spool file"):
                os.ftruncate(fd, size)
        finally:
            os.close(fd)

    def unlink(self, name: str) -> None:
        """Remove a spool file; a missing one is no error."""
        with local_disk("removing a spool file"):
            try:
                os.unlink(name, dir_fd=self.fd)
            except FileNotFoundError:
                return

    def give_up(self, name: str, missing: lostfound.Ranges = ()) -> bool:
        """Move a spool file to lost+found, with a note beside it; an empty one just goes.

        *missing* are ranges that were only in its multipart upload.

        Returns whether there was anything to keep.
        """
        with local_disk("moving a spool file to lost+found"):
            found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
            if not found.st_size:
                os.unlink(name, dir_fd=self.fd)
                return False
            note = self._note_of(name, found, missing)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(f"{name}{lostfound.SUFFIX}", flags, 0o600, dir_fd=self._lost_fd)
            with os.fdopen(fd, "w") as file:
                file.write(lostfound.encode(note))
            os.rename(name, name, src_dir_fd=self.fd, dst_dir_fd=self._lost_fd)
        return True

    def _note_of(self, name: str, found: os.stat_result, missing: lostfound.Ranges) -> Note:
        """Return what a person should know of the spool file *name*."""
        label = self.label_of(name)
        seal = None if label is None else label.seal
        base = "" if label is None else label.base
        if seal is not None and seal.base is not None:
            base = seal.base.etag
        return Note(
            key="" if label is None else label.key,
            size=found.st_size,
            written_at=time_text(found.st_mtime),
            kept_at=time_text(time.time()),
            written=self._written(name),
            sealed=() if seal is None else seal.touched,
            missing=missing,
            base=base,
            host=socket.gethostname(),
        )

    def _written(self, name: str) -> lostfound.Ranges:
        try:
            fd = self.descriptor(name)
        except SpoolError:
            return ()
        try:
            return lostfound.written_ranges(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the directory descriptors."""
        os.close(self.fd)
        os.close(self._lost_fd)
