"""Export: kept bytes as ordinary files in a directory of the person's choice.

Owns their names there and the proof that what was written is what was kept. Removes nothing, and
never writes over a file that is there.
"""

import hashlib
import os
import stat
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from cognitofs.control import State
from cognitofs.errors import ConfigError, SpoolDamaged, UnsentFiles
from cognitofs.kept import Kept
from cognitofs.safefiles import sync_directory

SUMS = "SHA256SUMS"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """One file that was written, and the SHA-256 that was read back from it."""

    kept: Kept
    path: Path
    sha256: str


def export(kept: Kept, directory: Path) -> Exported:
    """Write *kept* below *directory* under its own name, see it onto the disk and read it back.

    Its line is added to SHA256SUMS. Raises UnsentFiles for what is not wholly here, SpoolDamaged
    when a disk fails, ConfigError for a directory that cannot be written.
    """
    if not kept.file.is_whole:
        raise UnsentFiles(_partly_here(kept))
    try:
        target = _free_name(kept, directory)
        if kept.file.path.endswith("/"):
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Exported(kept, target, "")
        written = _copied(kept, target)
        if _sum_of(target) != written:
            raise SpoolDamaged(f"{target} does not read back as it was written; check that disk.")
        _note_sum(directory, target, written)
    except OSError as exc:
        raise ConfigError(
            f"{kept.file.path!r} could not be exported to {directory} ({exc.strerror}); name "
            "another directory. It is still kept."
        ) from exc
    return Exported(kept, target, written)


def _partly_here(kept: Kept) -> str:
    if kept.file.state == State.REFUSED:
        return f"{kept.file.path!r} was removed here, but S3 has it still: copy it there."
    if kept.file.error.startswith("Its local bytes"):
        return f"The local bytes of {kept.file.path!r} are missing; only its name is left."
    if kept.is_lost:
        return f"Not all of {kept.file.path!r} is kept. {kept.file.error} It is {kept.bytes_path}."
    return (
        f"Only a part of {kept.file.path!r} is here, the rest is on S3, in the object or in the "
        "upload of a file larger than --spool-size: mount it and copy it from there."
    )


def _free_name(kept: Kept, directory: Path) -> Path:
    """Return a name below *directory* that nothing has. Raises OSError."""
    segments = [part for part in kept.file.path.split("/") if part not in ("", ".", "..")]
    wanted = directory.joinpath(*segments)
    if kept.file.path.endswith("/"):
        return wanted
    names = [wanted, wanted.with_name(f"{wanted.name} ({kept.file.id[:8]})")]
    names += [wanted.with_name(f"{wanted.name} ({kept.file.id[:8]}-{n})") for n in range(2, 100)]
    return next((each for each in names if not os.path.lexists(each)), wanted)


def _copied(kept: Kept, target: Path) -> str:
    """Copy the sealed bytes; return their SHA-256. A program may append behind them meanwhile."""
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _opened(kept) if kept.file.size else BytesIO() as source:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
            left = kept.file.size
            while left and (data := source.read(min(_BLOCK, left))):
                digest.update(data)
                file.write(data)
                left -= len(data)
            file.flush()
            os.fsync(file.fileno())
    if left:
        raise SpoolDamaged(f"{kept.bytes_path} ends too early; {target} is not whole.")
    sync_directory(target.parent)
    return digest.hexdigest()


def _opened(kept: Kept) -> BinaryIO:
    """Open the kept bytes. Raises UnsentFiles when S3 has them by now."""
    try:
        fd = os.open(kept.bytes_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as exc:
        raise UnsentFiles(
            f"{kept.file.path!r} is no longer kept here: it was sent or removed meanwhile."
        ) from exc
    file = os.fdopen(fd, "rb")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        file.close()
        raise SpoolDamaged(f"{kept.bytes_path} is not a file; look who changed it.")
    return file


def _sum_of(path: Path) -> str:
    """Return the SHA-256 of *path*, read from the disk rather than from memory where possible."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note_sum(directory: Path, target: Path, digest: str) -> None:
    """Add a line that `sha256sum --check` reads; it escapes names as sha256sum does."""
    name = str(target.relative_to(directory))
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    mark = "\\" if escaped != name else ""
    with (directory / SUMS).open("a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"{mark}{digest}  {escaped}\n")
