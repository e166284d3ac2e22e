"""The mounts of one person: those that run, and those that left unsent files behind.

Owns finding them from sockets and state directories, and taking a state directory over from a
process that only drains. Asks; changes nothing but through the control socket.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cognitofs import controlclient, lastword
from cognitofs.control import MountStatus, State
from cognitofs.errors import CognitoFSError, MountpointBusy, NotMounted, Stalled
from cognitofs.runtime import sockets
from cognitofs.state import (
    Binding,
    Note,
    StateDirectory,
    StateFiles,
    binding_in,
    is_locked,
    known_states,
    note_in,
)
from cognitofs.unsent import unsent_sizes

# A process that is told to stop has nothing to wait for but requests under way.
HANDOVER_SECONDS = 20.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class LiveMount:
    """A process that serves or drains a mount, and where it listens."""

    socket: Path
    status: MountStatus


def live_mounts(
    base: Path,
    environ: Mapping[str, str],
    *,
    seconds: float = controlclient.ANSWER_SECONDS,
) -> tuple[LiveMount, ...]:
    """Return the mounts with a process. One silent for *seconds* is among them, as failed."""
    found = []
    for socket in sockets(base, environ):
        try:
            found.append(LiveMount(socket, controlclient.ask_status(socket, seconds=seconds)))
        except NotMounted:
            continue  # the socket of a process that was killed
        except CognitoFSError as exc:
            found.append(LiveMount(socket, _silent(socket, base, str(exc))))
    return tuple(found)


def _silent(socket: Path, base: Path, error: str) -> MountStatus:
    files = [each for each in known_states(base) if each.path.name == socket.stem]
    known = left_behind(files[0]) if files else MountStatus()
    try:
        pid = controlclient.peer(socket)
    except CognitoFSError:
        pid = 0
    return replace(known, mounted=True, pid=pid, state=State.FAILED.value, last_error=error)


def known_mounts(base: Path, environ: Mapping[str, str]) -> tuple[MountStatus, ...]:
    """Return the status of every mount: the live ones, then those with unsent files only."""
    live = live_mounts(base, environ)
    running = {each.socket.stem for each in live}
    resting = (
        left_behind(files)
        for files in known_states(base)
        if files.path.name not in running and not is_locked(files) and files.journal.exists()
    )
    return (*(each.status for each in live), *resting)


def left_behind(files: StateFiles) -> MountStatus:
    """Return what a state directory without a process tells: whose it is, and what is unsent.

    After a crash that is what spool and journal hold: what S3 has is in neither.
    """
    last = lastword.read(files)
    if last is not None:
        return last
    note = note_in(files) or Note(pid=0)
    binding = binding_in(files)
    sizes = unsent_sizes(files)
    return MountStatus(
        mountpoint=note.mountpoint,
        mounted=False,
        profile=note.profile,
        username=note.username,
        identity_id=binding.identity_id if binding else "",
        s3_uri=binding.s3_uri if binding else "",
        state=State.UNMOUNTED.value,
        pending_files=len(sizes),
        pending_bytes=sum(sizes),
        state_directory=str(files.path),
    )


def mount_of(path: Path, live: tuple[LiveMount, ...]) -> LiveMount:
    """Return the mount that *path* lies in, by name alone: the mount itself is not asked.

    Raises NotMounted.
    """
    written = Path(os.path.abspath(path))  # Path.resolve would ask the mount
    around = [each for each in live if _lies_in(written, each)]
    if not around:
        real = Path(os.path.realpath(written))
        around = [each for each in live if _lies_in(real, each)]
    if not around:
        raise NotMounted(f"{path} is not in a mount of yours; `cognitofs status` lists the mounts.")
    return max(around, key=lambda each: (each.status.mounted, len(each.status.mountpoint)))


def path_in(mount: MountStatus, path: Path) -> str:
    """Return *path* as it is below the mountpoint of *mount*, in which it lies; "." for the top."""
    written = Path(os.path.abspath(path))
    if not written.is_relative_to(mount.mountpoint):  # a symlink leads there
        written = Path(os.path.realpath(written))
    return str(written.relative_to(mount.mountpoint))


def _lies_in(path: Path, mount: LiveMount) -> bool:
    return bool(mount.status.mountpoint) and path.is_relative_to(mount.status.mountpoint)


def open_state(
    base: Path, binding: Binding, note: Note, socket: Path, *, is_risked: bool = False
) -> StateDirectory:
    """Open the state directory; a process that only drains is told to hand over.

    Blocks up to HANDOVER_SECONDS. Raises as `StateDirectory.open`.
    """
    try:
        return StateDirectory.open(base, binding, note, is_risked=is_risked)
    except MountpointBusy:
        if not _told_to_stop(socket):
            raise
    deadline = time.monotonic() + HANDOVER_SECONDS
    while True:
        try:
            return StateDirectory.open(base, binding, note, is_risked=is_risked)
        except MountpointBusy:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def _told_to_stop(socket: Path) -> bool:
    """Return whether the holder of the lock only drains and will end, or is ending by itself."""
    try:
        if controlclient.ask_status(socket).mounted:
            return False
        controlclient.stop(socket)
    except NotMounted:
        return True  # between closing its socket and giving up the lock, or just starting
    except (MountpointBusy, Stalled):
        return False
    return True
