"""The directory to mount on: fit, busy or dead; and how to leave it.

Owns the checks before a mount, the healing of a dead one, and unmounting. Does not mount.

INVARIANT: no call here waits on a file system that may be dead, except in a thread that is given
up after a few seconds.
"""

import errno
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cognitofs.errors import MountError, MountpointBusy, MountpointUnusable, NotMounted
from cognitofs.mounttable import Mount, mount_at

_DEVICE = Path("/dev/fuse")
_KIND = "fuse.cognitofs"
# A live mount answers statfs in microseconds; a loaded machine may need more.
_ANSWER_SECONDS = 5.0
# fusermount3 waits for nobody, unless the kernel does.
_UNMOUNT_SECONDS = 30.0


def prepare(mountpoint: Path, *, home: Path) -> Path:
    """Return *mountpoint* as an absolute directory that can be mounted on.

    A dead mount there is healed; a missing directory below *home* is made. Raises MountpointBusy,
    MountpointUnusable, or MountError when the machine lacks FUSE.
    """
    require_fuse(device=_DEVICE)
    path = plain_path(mountpoint)
    mount = mount_at(path)
    if mount is not None:
        _heal_or_refuse(path, mount)
    _make_if_missing(path, home)
    _check_directory(path)
    return path


def plain_path(path: Path) -> Path:
    """Return *path* absolute, its symlinks resolved except where a dead mount stops that.

    Only the way to the last step is resolved by asking; the last step may be a dead mount.
    """
    absolute = Path(os.path.abspath(path))  # Path.resolve would ask the mount
    parent = Path(os.path.realpath(absolute.parent))
    found = parent / absolute.name
    if mount_at(found) is None and found.is_symlink():
        return Path(os.path.realpath(found))
    return found


def require_fuse(*, device: Path) -> None:
    """Raise MountError unless this machine and this user can mount with FUSE."""
    if not device.exists():
        raise MountError(
            f"{device} is missing: run `sudo modprobe fuse`, or start the container with "
            f"`--device {device} --cap-add SYS_ADMIN`."
        )
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        raise MountError("fusermount3 is missing; run `sudo apt install fuse3`.")
    if not os.access(device, os.R_OK | os.W_OK):
        raise MountError(
            f"You may not use {device}; ask the administrator for `chmod 0666 {device}`."
        )


def _heal_or_refuse(path: Path, mount: Mount) -> None:
    if mount.is_fuse and is_dead(path):
        unmount(path, lazy=True)
    elif mount.kind == _KIND:
        raise MountpointBusy(
            f"{path} is mounted with cognitofs already; run `cognitofs status {path}` to see it, "
            f"or `cognitofs umount {path}` to leave it."
        )
    else:
        raise MountpointBusy(
            f"{path} is already a mount of {mount.source} ({mount.kind}); unmount that, "
            "or choose another directory."
        )


def is_dead(path: Path) -> bool:
    """Return whether the FUSE mount at *path* lost its process (ENOTCONN, ECONNABORTED).

    Raises MountpointBusy when the process lives but does not answer.
    """
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(_errno_of_question(path)), daemon=True)
    asking.start()
    asking.join(_ANSWER_SECONDS)
    if not answers:
        raise MountpointBusy(
            f"Something is mounted at {path}, but its process does not answer; "
            f"run `fusermount3 -uz {path}` if you want to give it up."
        )
    return answers[0] in (errno.ENOTCONN, errno.ECONNABORTED)


def _errno_of_question(path: Path) -> int:
    try:
        # Unlike stat, which the kernel answers from its attribute cache even for a dead mount.
        os.statvfs(path)
    except OSError as exc:
        return exc.errno or 0
    return 0


def _make_if_missing(path: Path, home: Path) -> None:
    if os.path.lexists(path):
        return
    if not path.is_relative_to(Path(os.path.realpath(home))):
        raise MountpointUnusable(
            f"The mountpoint {path} does not exist; make it with `mkdir -p {path}`."
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise MountpointUnusable(
            f"The mountpoint {path} cannot be made ({exc.strerror}); choose another directory."
        ) from exc


def _check_directory(path: Path) -> None:
    try:
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise MountpointUnusable(
                f"{path} is a file; give an empty directory to mount on instead."
            )
        with os.scandir(path) as entries:
            empty = next(entries, None) is None
    except OSError as exc:
        raise MountpointUnusable(
            f"The mountpoint {path} cannot be looked at ({exc.strerror}); choose another directory."
        ) from exc
    if not empty:
        raise MountpointBusy(
            f"{path} is not empty, and a mount would hide what is in it; "
            "choose an empty directory, or a new name."
        )
    if os.geteuid() != 0 and not os.access(path, os.W_OK):
        raise MountpointUnusable(
            f"You may not write to {path}, so you may not mount on it; choose a directory of yours."
        )


def unmount(mountpoint: Path, *, lazy: bool = False) -> None:
    """Take the mount at *mountpoint* away; *lazy* hides it at once and lets it end when unused.

    Raises NotMounted, MountpointBusy naming the processes that use it, MountError.
    """
    path = plain_path(mountpoint)
    if mount_at(path) is None:
        raise NotMounted(f"Nothing is mounted at {path}; `cognitofs status` lists what is.")
    try:
        done = subprocess.run(
            _command(path, lazy=lazy),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_UNMOUNT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise MountError(
            f"{path} could not be unmounted ({exc}); try `cognitofs umount --lazy {path}`."
        ) from exc
    if done.returncode != 0 and mount_at(path) is not None:
        raise _still_mounted(path, done.stderr)


def _command(path: Path, *, lazy: bool) -> list[str]:
    """Return the unmount command: fusermount3, which needs no rights, else root's own."""
    fusermount = shutil.which("fusermount3")
    if fusermount is None:
        return ["umount", *(["-l"] if lazy else []), "--", str(path)]
    return [fusermount, "-u", *(["-z"] if lazy else []), "--", str(path)]


def _still_mounted(path: Path, said: str) -> MountError:
    users = processes_using(path)
    if not users:
        reason = (said.strip().splitlines() or ["no reason given"])[-1]
        return MountError(
            f"{path} could not be unmounted: {reason}. Close what uses it and try again, "
            f"or run `cognitofs umount --lazy {path}`."
        )
    names = ", ".join(f"{user.name} (process {user.pid})" for user in users[:5])
    more = f" and {len(users) - 5} more" if len(users) > 5 else ""
    return MountpointBusy(
        f"{path} is in use by {names}{more}; close that and try again, "
        f"or run `cognitofs umount --lazy {path}`."
    )


@dataclass(frozen=True, slots=True)
class Process:
    """A process that keeps a mount busy."""

    pid: int
    name: str


def processes_using(path: Path) -> tuple[Process, ...]:
    """Return the processes with a directory, a file or a mapping below *path*.

    Only those that we may look at. Asks /proc alone, never the mount.
    """
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            if any(_is_below(each, path) for each in _places_of(directory)):
                name = (directory / "comm").read_text(errors="replace").strip()
                found.append(Process(int(directory.name), name))
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return tuple(sorted(found, key=lambda process: process.pid))


def _places_of(process: Path) -> Iterator[str]:
    for link in (process / "cwd", process / "root", process / "exe"):
        yield os.readlink(link)
    for link in (process / "fd").iterdir():
        yield os.readlink(link)
    for line in (process / "maps").read_text(errors="surrogateescape").splitlines():
        yield line.partition("/")[2].join(("/", "")) if "/" in line else ""


def _is_below(place: str, path: Path) -> bool:
    return place == str(path) or place.startswith(f"{path}/")
