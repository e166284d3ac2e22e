"""The last status of a mount that ended with something left, for `cognitofs status` afterwards.

Owns one file in the state directory. It is written at an orderly end and removed by the next
mount; after a crash there is none, and the spool directory is all there is to count.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path

from cognitofs.control import MountStatus, State, mount_status
from cognitofs.safefiles import replace_durably
from cognitofs.state import StateFiles


def write(files: StateFiles, status: MountStatus) -> None:
    """Keep *status* as the last. Raises OSError."""
    replace_durably(_path(files), json.dumps(asdict(status)).encode())


def read(files: StateFiles) -> MountStatus | None:
    """Return the last status, as that of a mount without a process; None when there is none."""
    try:
        found = json.loads(_path(files).read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    status = mount_status(found)
    return replace(
        status, mounted=False, pid=0, state=State.UNMOUNTED.value, waiting_for="", keys_expire=""
    )


def forget(files: StateFiles) -> None:
    """Remove it: a mount runs again and speaks for itself."""
    _path(files).unlink(missing_ok=True)


def _path(files: StateFiles) -> Path:
    return files.path / "last-status.json"
