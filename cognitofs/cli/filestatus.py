"""What `cognitofs status PATH` says of a file or directory in a mount.

Owns the choice of the files and their words; `status.py` shows whole mounts.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cognitofs.control import FileStatus, MountStatus, State
from cognitofs.kept import files_at
from cognitofs.quantities import about


@dataclass(frozen=True, slots=True)
class PathStatus:
    """A path in a mount and the files at it, or below it, that S3 does not have as they are."""

    path: str
    mount: MountStatus
    files: tuple[FileStatus, ...]

    @property
    def needs_person(self) -> bool:
        """Tell whether something will not resolve by itself."""
        return any(
            each.state in (State.CONFLICT, State.FAILED, State.REFUSED) for each in self.files
        )

    @property
    def is_clean(self) -> bool:
        """Tell whether S3 has everything."""
        return not self.files

    @property
    def goes_on(self) -> bool:
        """Tell whether a process works on what is left."""
        decided = (State.CONFLICT, State.FAILED, State.REFUSED)
        return self.mount.pid > 0 and any(each.state not in decided for each in self.files)

    def document(self) -> dict[str, object]:
        """Return the document of `status PATH --json`."""
        return {
            "path": self.path,
            "mountpoint": self.mount.mountpoint,
            "state": self.files[0].state if self.files else State.CLEAN.value,
            "waiting_for": self.mount.waiting_for,
            "files": [asdict(each) for each in self.files],
        }

    def lines(self) -> Iterator[str]:
        """Yield what a person should know."""
        if not self.files:
            yield f"{self.path!r}: clean, nothing of it is unsent"
        for each in self.files:
            where = os.path.join(self.mount.mountpoint, each.path.removesuffix("/"))
            yield f"{where!r}: {state_text(each, self.mount.waiting_for)}"


def state_text(file: FileStatus, waiting_for: str) -> str:
    """Return the state of one file in words, with what is known of its way."""
    text = file.state
    if file.state == State.WAITING:
        text += f" for the {'sign-in' if waiting_for == 'auth' else 'network'}"
    if file.size:
        part = f"{100 * min(file.sent, file.size) // file.size} % of " if file.sent else ""
        text += f", {part}{about(file.size)}"
    return text + (f": {file.error}" if file.error else "")


def path_status(path: Path, base: Path) -> PathStatus:
    """Return the status of *path*. Raises NotMounted for one in no mount."""
    mount, files = files_at(path, base, os.environ)
    return PathStatus(os.path.abspath(path), mount, tuple(files))
