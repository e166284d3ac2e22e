"""Directories and files that no other person of this machine may bend.

Owns the checks before a path is trusted with unsent bytes or with secrets, and the two ways to
write there. Does not know what is kept in them.

INVARIANT: a directory that `private_directory` returned is ours, mode 0700 or stricter for others,
and no person but root and us could have placed or could replace any step of the way to it.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from cognitofs.errors import ConfigError, SpoolDamaged

# As many as the kernel follows (path_resolution(7)).
_MOST_LINKS = 40


def private_directory(path: Path) -> Path:
    """Return the resolved *path* as a directory of ours with mode 0700, made if it is missing.

    Raises ConfigError when others own it, may write to it or lead us to it, SpoolDamaged when it
    cannot be made.
    """
    _check_way(path.absolute())
    try:
        resolved = path.resolve()
        resolved.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        resolved.mkdir(mode=0o700, exist_ok=True)
        _check_ours(resolved)
    except OSError as exc:
        raise SpoolDamaged(
            f"The directory {path} cannot be used ({exc.strerror}); "
            "correct that, or name another one with --state-dir or --cache-dir."
        ) from exc
    return resolved


def is_private(path: Path) -> bool:
    """Return whether *path* exists as a directory that `private_directory` would accept."""
    try:
        _check_way(path.absolute())
        _check_ours(path.resolve())
    except (OSError, ConfigError):
        return False
    return True


def _check_ours(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if found.st_uid != os.geteuid():
        raise ConfigError(f"The directory {path} belongs to somebody else; name one of your own.")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"Others may write to the directory {path}; run `chmod 0700 {path}` "
            "after a look at what is in it."
        )


def _check_way(path: Path) -> None:
    """Raise ConfigError if another person controls a step of the way to *path*."""
    steps = list(path.parts[1:])
    here, links = Path("/"), 0
    while steps:
        here = Path(os.path.normpath(here / steps.pop(0)))
        try:
            found = here.lstat()
        except OSError:
            return  # the rest of the way does not exist yet, or will fail where it is used
        _check_step(here, found)
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise ConfigError(f"Too many symbolic links lead to {path}; name a plain path.")
            target = here.readlink()
            here = Path("/") if target.is_absolute() else here.parent
            steps[:0] = target.parts[1:] if target.is_absolute() else target.parts


def _check_step(step: Path, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{step} belongs to another user, who could replace what lies behind it; "
            "name a directory whose path is yours or root's."
        )
    open_to_all = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_IWOTH
    if open_to_all and not found.st_mode & stat.S_ISVTX:
        raise ConfigError(
            f"Everybody may write to {step}, and could replace what lies behind it; "
            "name a directory elsewhere."
        )


def open_private(path: Path, flags: int) -> int:
    """Return a descriptor of the file *path*, made with mode 0600; never follows a symlink.

    Raises OSError.
    """
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def replace_durably(path: Path, content: bytes) -> None:
    """Make *content* the content of *path*, wholly or not at all, and see it onto the disk.

    Raises OSError.
    """
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with _created(draft) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_directory(path.parent)


def _created(path: Path) -> BinaryIO:
    return os.fdopen(open_private(path, os.O_WRONLY | os.O_EXCL), "wb")


def sync_directory(path: Path) -> None:
    """See the names in *path* onto the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
