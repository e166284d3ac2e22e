"""What this machine has and lacks for a mount: FUSE, its helpers, dead mounts, room.

Owns the questions to the local system; asks no network. Every path that it reads is a field of
`Machine`, so that each failure can be provoked.
"""

import os
import re
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cognitofs import mountpoint
from cognitofs.doctor.findings import Check, Finding, hint, ok, problem
from cognitofs.errors import CognitoFSError, ConfigError, MountError
from cognitofs.mounttable import Mount, mounts
from cognitofs.state import check_file_system, known_states, note_in

_KIND = "fuse.cognitofs"
# A file needs room for all of its new bytes until S3 has it; guesses at what is little.
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2 << 30, 64 << 20


@dataclass(frozen=True, slots=True)
class Machine:
    """The local places that matter, and who asks. *root_uid* owns what is root's."""

    state: Path
    device: Path = Path("/dev/fuse")
    fuse_conf: Path = Path("/etc/fuse.conf")
    updatedb_conf: Path = Path("/etc/updatedb.conf")
    search_path: str | None = None
    root_uid: int = 0
    is_root: bool = False
    wants_others: bool = False

    def examine(self, *, fix: bool) -> Iterator[Finding]:
        """Yield what was found; with *fix*, dead mounts are taken away."""
        yield self._fuse()
        yield self._fusermount()
        yield self._others()
        yield from _stale(_own_mountpoints(self.state), fix=fix)
        yield from self._updatedb()
        yield from self._read_ahead()
        yield self._state_kind()
        yield self._space()

    def _fuse(self) -> Finding:
        if not self.device.exists():
            return problem(
                Check.FUSE,
                f"{self.device} is missing.",
                "Run `sudo modprobe fuse`; start a container with `--device /dev/fuse "
                "--cap-add SYS_ADMIN`.",
            )
        if not os.access(self.device, os.R_OK | os.W_OK):
            return problem(
                Check.FUSE,
                f"You may not use {self.device}.",
                f"Ask the administrator for `chmod 0666 {self.device}`.",
            )
        return ok(Check.FUSE, f"{self.device} can be used.")

    def _fusermount(self) -> Finding:
        found = shutil.which("fusermount3", path=self.search_path)
        install = "Run `sudo apt install fuse3`."
        if found is None:
            text = "fusermount3 is missing; without it only root can mount, and nobody can leave "
            return problem(Check.FUSERMOUNT, f"{text}a mount without root's umount.", install)
        status = os.stat(found)
        if not self.is_root and (
            status.st_uid != self.root_uid or not status.st_mode & stat.S_ISUID
        ):
            return problem(
                Check.FUSERMOUNT,
                f"{found} is not setuid root, so you cannot mount with it.",
                f"Run `sudo chown root {found} && sudo chmod u+s {found}`, or reinstall fuse3.",
            )
        return ok(Check.FUSERMOUNT, f"{found} can mount and unmount for you.")

    def _others(self) -> Finding:
        if self.is_root or _has_line(self.fuse_conf, r"user_allow_other"):
            return ok(Check.ALLOW_OTHER, "Mounts may be shared with --allow-other.")
        text = f"{self.fuse_conf} does not say user_allow_other, so --allow-other is refused."
        remedy = f"Run `echo user_allow_other | sudo tee -a {self.fuse_conf}`"
        if self.wants_others:
            return problem(Check.ALLOW_OTHER, text, f"{remedy}, or unset `allow_other`.")
        return hint(Check.ALLOW_OTHER, text, f"{remedy} if you want to share a mount.")

    def _updatedb(self) -> Iterator[Finding]:
        """Tell whether the nightly index of file names would read the whole bucket."""
        try:
            text = self.updatedb_conf.read_text(errors="replace")
        except OSError:
            return  # no locate here
        found = re.search(r'^\s*PRUNEFS\s*=\s*"([^"]*)"', text, re.MULTILINE)
        if found and {_KIND, "fuse"} & set(found[1].split()):
            yield ok(Check.UPDATEDB, "updatedb leaves mounts of cognitofs alone.")
        else:
            yield hint(
                Check.UPDATEDB,
                "updatedb may list the whole bucket every night, if it runs as you or if the "
                "mount is shared.",
                f"Add {_KIND} to PRUNEFS in {self.updatedb_conf}.",
            )

    def _read_ahead(self) -> Iterator[Finding]:
        if not self.is_root:
            yield hint(
                Check.READ_AHEAD,
                "The kernel reads 128 KiB ahead in a mount that is not root's; 1024 made "
                "sequential reads 1.7 times as fast.",
                "After mounting, run `echo 1024 | sudo tee /sys/class/bdi/$(mountpoint -d "
                "DIRECTORY)/read_ahead_kb`.",
            )

    def _state_kind(self) -> Finding:
        try:
            notices = check_file_system(_existing(self.state))
        except ConfigError as exc:
            return problem(Check.STATE, str(exc), "Set `state_dir` to a directory on a local disk.")
        if notices:
            return hint(Check.STATE, notices[0], "Set `state_dir` to a directory on a disk.")
        return ok(Check.STATE, f"{self.state} is on a local disk.")

    def _space(self) -> Finding:
        free = shutil.disk_usage(_existing(self.state)).free
        text = f"{free / 1e9:.1f} GB are free for unsent files in {self.state}."
        remedy = "Free some space, or set `state_dir` to a larger disk."
        if free < _TOO_LITTLE_BYTES:
            return problem(Check.SPACE, text, remedy)
        if free < _LITTLE_BYTES:
            return hint(Check.SPACE, text, f"A larger file cannot be written. {remedy}")
        return ok(Check.SPACE, text)


def _has_line(path: Path, line: str) -> bool:
    try:
        return re.search(rf"^\s*{line}\s*$", path.read_text(), re.MULTILINE) is not None
    except (OSError, UnicodeDecodeError):
        return False


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())


def _stale(own: frozenset[str], *, fix: bool) -> Iterator[Finding]:
    """Yield each mount of ours whose process is gone or silent; *own* are this state's."""
    ours = [each for each in mounts() if each.kind == _KIND]
    found = [
        finding
        for each in ours
        if (finding := _judged(each, is_own=str(each.path) in own, fix=fix)) is not None
    ]
    yield from found
    if not found:
        yield ok(Check.STALE_MOUNTS, f"All mounts answer ({len(ours)}).")


def _judged(mount: Mount, *, is_own: bool, fix: bool) -> Finding | None:
    try:
        if not mountpoint.is_dead(mount.path):
            return None
    except CognitoFSError as exc:
        return problem(Check.STALE_MOUNTS, str(exc), "See its log, or give it up.")
    text = f"The process of the mount at {mount.path} is gone"
    if not is_own:
        text += ", and no mount of this state directory was there."
        return hint(Check.STALE_MOUNTS, text, f"Its owner can run `fusermount3 -uz {mount.path}`.")
    text += "; what it had not sent is kept."
    again = f"Run `cognitofs mount {mount.path}`."
    if not fix:
        return problem(Check.STALE_MOUNTS, text, f"Run `cognitofs doctor --fix`. {again}")
    try:
        mountpoint.unmount(mount.path, lazy=True)
    except MountError as exc:
        return problem(Check.STALE_MOUNTS, text, str(exc))
    return hint(Check.STALE_MOUNTS, f"{text} It was taken away.", again)


def _own_mountpoints(state: Path) -> frozenset[str]:
    """Return where the mounts of the state directory were."""
    notes = (note_in(files) for files in known_states(state))
    return frozenset(note.mountpoint for note in notes if note is not None)
