"""State of one mount on this machine: its directory, its lock, and whose it is.

    BASE/mounts/<mount-id>/   0700   what S3 does not have yet; never in a cache directory
        lock                  flock; its content (process, mountpoint, ...) is information only
        binding.json          endpoint, bucket, prefix and identity the bytes belong to
        journal.db  spool/    pending changes and their bytes
        lost+found/           bytes that were never sealed
        reserve               space that is given up when the disk is full
    CACHE/<mount-id>/         0700   may vanish at any time

Owns these names, the checks of the directories and the lock. Knows neither the journal's nor the
spool's inside.

INVARIANT: one process at a time holds the lock, so one process at a time writes below it.
INVARIANT: bytes of one identity are never opened under the binding of another.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from cognitofs.errors import ConfigError, MountpointBusy, SpoolDamaged, WrongIdentity
from cognitofs.mounttable import Mount, mount_holding
from cognitofs.safefiles import open_private, private_directory, replace_durably

_MOUNTS = "mounts"
# A lock or a finished rename is not to be trusted there: bytes that close() promised would hang on
# a server, or on another FUSE process (even our own).
_REFUSED_KINDS = frozenset({"nfs", "nfs4", "cifs", "smb3", "afs", "ceph"})
_OURS = "fuse.cognitofs"
_VOLATILE_KINDS = frozenset({"tmpfs", "ramfs"})
_MOST_NOTE = 64 * 1024  # far more than a lock's note can need; bounds what is read


@dataclass(frozen=True, slots=True)
class Binding:
    """What a state directory belongs to; `endpoint` "" is AWS, `identity_id` "" is none."""

    endpoint: str
    bucket: str
    prefix: str
    identity_id: str

    @property
    def mount_id(self) -> str:
        """Sixteen hex digits; the same for the same four values, on every machine."""
        text = "|".join((self.endpoint, self.bucket, self.prefix, self.identity_id))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @property
    def s3_uri(self) -> str:
        """Where the objects are, as other S3 tools write it."""
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Note:
    """What the holder of a lock tells others; nothing depends on it being true."""

    mountpoint: str = ""
    profile: str = ""
    username: str = ""
    pid: int = field(default_factory=os.getpid)
    started: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class StateFiles:
    """The names inside one state directory; makes and checks nothing."""

    path: Path

    @property
    def journal(self) -> Path:
        """The journal's database."""
        return self.path / "journal.db"

    @property
    def spool(self) -> Path:
        """The directory of unsent bytes."""
        return self.path / "spool"

    @property
    def lost_found(self) -> Path:
        """The directory of bytes that were never sealed."""
        return self.path / "lost+found"

    @property
    def reserve(self) -> Path:
        """The file that is given up when the disk is full."""
        return self.path / "reserve"

    @property
    def binding(self) -> Path:
        """The file that says whose the directory is."""
        return self.path / "binding.json"

    @property
    def lock(self) -> Path:
        """The file whose flock makes a process the only one."""
        return self.path / "lock"


class StateDirectory:
    """A state directory that this process holds the lock of. A context manager."""

    def __init__(self, files: StateFiles, lock: int, notices: tuple[str, ...]) -> None:
        """Use `StateDirectory.open`."""
        self.files = files
        self.notices = notices
        self._lock: int | None = lock

    @classmethod
    def open(cls, base: Path, binding: Binding, note: Note, *, is_risked: bool = False) -> Self:
        """Make, check and lock the state directory of *binding* below *base*.

        *is_risked* is `judge_file_system`'s.

        Raises MountpointBusy when another process holds it, WrongIdentity when it belongs to
        another binding, ConfigError when its place is unsafe, SpoolDamaged when the disk fails.
        """
        private_directory(base)
        private_directory(base / _MOUNTS)
        files = StateFiles(private_directory(base / _MOUNTS / binding.mount_id))
        notices = check_file_system(files.path, is_risked=is_risked)
        try:
            lock = _locked(files)
            with _closing_on_error(lock):
                _bind(files, binding)
                _write_note(lock, note)
                for directory in (files.spool, files.lost_found):
                    private_directory(directory)
        except OSError as exc:
            raise SpoolDamaged(
                f"The state directory {files.path} cannot be written ({exc.strerror}); "
                "correct that and mount again, nothing in it is lost."
            ) from exc
        return cls(files, lock, notices)

    def close(self) -> None:
        """Give the lock up. Closing twice is harmless."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@contextlib.contextmanager
def _closing_on_error(descriptor: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise


def _locked(files: StateFiles) -> int:
    """Return a descriptor that holds the lock. Raises MountpointBusy, OSError."""
    descriptor = open_private(files.lock, os.O_RDWR)
    with _closing_on_error(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise MountpointBusy(_busy_sentence(note_in(files))) from exc
    return descriptor


def _busy_sentence(holder: Note | None) -> str:
    if holder is None or not holder.mountpoint:
        return "This part of the bucket is mounted already; run `cognitofs status` to see where."
    return (
        f"This part of the bucket is mounted already at {holder.mountpoint} (process "
        f"{holder.pid}); use it there, or run `cognitofs umount {holder.mountpoint}` first."
    )


def _write_note(lock: int, note: Note) -> None:
    content = json.dumps(asdict(note)).encode()
    os.ftruncate(lock, 0)
    os.pwrite(lock, content, 0)


def note_in(files: StateFiles) -> Note | None:
    """Return what the present or last holder of the lock wrote, or None if that is unreadable."""
    try:
        with files.lock.open("rb") as file:
            found = json.loads(file.read(_MOST_NOTE))
        known = {each.name: found[each.name] for each in fields(Note) if each.name in found}
        return Note(**known)
    except (OSError, ValueError, TypeError):
        return None


def is_locked(files: StateFiles) -> bool:
    """Return whether a living process holds the directory."""
    try:
        descriptor = os.open(files.lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _bind(files: StateFiles, binding: Binding) -> None:
    """Write whose the directory is, or compare. Raises WrongIdentity, SpoolDamaged, OSError."""
    if not os.path.lexists(files.binding):
        replace_durably(files.binding, json.dumps(asdict(binding), indent=2).encode() + b"\n")
        return
    found = binding_in(files)
    if found is None:
        raise SpoolDamaged(
            f"{files.binding} cannot be read, so nobody can tell whose unsent files lie beside it; "
            "restore it, or move the directory away and mount again."
        )
    if found.identity_id != binding.identity_id:
        raise WrongIdentity(
            f"{files.path} holds files of {found.identity_id or 'nobody in particular'}, but "
            f"{binding.identity_id or 'nobody in particular'} is signed in; sign in as before, "
            "or name another --state-dir."
        )
    if found != binding:
        raise WrongIdentity(
            f"{files.path} holds files that belong to {found.s3_uri}, not to {binding.s3_uri}; "
            "name another --state-dir."
        )


def binding_in(files: StateFiles) -> Binding | None:
    """Return whose the directory is, or None if no readable file says so."""
    try:
        found = json.loads(files.binding.read_bytes())
        return Binding(**{each.name: str(found[each.name]) for each in fields(Binding)})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def check_file_system(path: Path, *, is_risked: bool = False) -> tuple[str, ...]:
    """Return what the person should know of the file system below *path*.

    Raises ConfigError as `judge_file_system`.
    """
    mount = mount_holding(path.resolve())
    return () if mount is None else judge_file_system(path, mount, is_risked=is_risked)


def judge_file_system(path: Path, mount: Mount, *, is_risked: bool = False) -> tuple[str, ...]:
    """Return what there is to say of *path* being on *mount*.

    Raises ConfigError for one that cannot keep a promise, unless it *is_risked*; and always for a
    mount of ours, which would wait for itself.
    """
    if mount.kind == _OURS:
        raise ConfigError(
            f"The state directory {path} is on S3 itself ({mount.path}); name one on a local disk "
            "with --state-dir."
        )
    if mount.kind in _REFUSED_KINDS or mount.is_fuse:
        if is_risked:
            return (
                f"The state directory {path} is on {mount.kind}: unsent files are as safe as that "
                "is, and another machine that mounts with it may damage them.",
            )
        raise ConfigError(
            f"The state directory {path} is on {mount.kind}, which cannot keep unsent files "
            "safe; name one on a local disk with --state-dir, or risk it with --unsafe-spool."
        )
    if mount.kind in _VOLATILE_KINDS:
        return (
            f"The state directory {path} is in memory ({mount.kind}): what S3 does not have yet "
            "is lost when this machine stops.",
        )
    return ()


def known_states(base: Path) -> tuple[StateFiles, ...]:
    """Return the state directories below *base*, in the order of their names."""
    try:
        found = sorted((base / _MOUNTS).iterdir())
    except OSError:
        return ()
    return tuple(StateFiles(each) for each in found if (each / "binding.json").is_file())


def cache_directory(base: Path, binding: Binding) -> Path:
    """Make and return the cache directory of *binding*. Raises ConfigError, SpoolDamaged."""
    private_directory(base)
    return private_directory(base / binding.mount_id)
