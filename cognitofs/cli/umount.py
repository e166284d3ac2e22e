"""`cognitofs umount`: send what is left, unmount, and see the process end."""

import os
import select
import time
from pathlib import Path
from typing import Annotated

import typer

from cognitofs import controlclient
from cognitofs.cli.exits import Exit
from cognitofs.cli.options import ConfigOption, ProfileOption, StateDirOption, state_base
from cognitofs.cli.output import DrainDisplay, complain, files_text, say
from cognitofs.errors import CognitoFSError, NotMounted, Stalled
from cognitofs.mountpoint import is_dead, plain_path, unmount
from cognitofs.mounts import LiveMount, live_mounts
from cognitofs.mounttable import Mount, mount_at
from cognitofs.state import StateFiles
from cognitofs.unsent import unsent_sizes

# Closing the journal and the last requests under way; more only on a very slow disk.
_END_SECONDS = 30.0


def umount(
    directory: Annotated[Path, typer.Argument(metavar="MOUNTPOINT", help="What to unmount.")],
    *,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Longest wait for uploads.")
    ] = 600.0,
    lazy: Annotated[
        bool,
        typer.Option(
            "--lazy", help="Unmount though it is in use, and do not wait: uploads go on behind it."
        ),
    ] = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Send everything, show how far it is, then unmount.

    Also takes away a mount whose process died ("Transport endpoint is not connected").
    Exit code 4: something could not be sent; it is kept, and the next mount goes on with it.

    For example:

      cognitofs umount ~/cloud

      cognitofs umount ~/cloud --timeout 30
    """
    path = plain_path(directory.expanduser())
    live = live_mounts(state_base(profile, config, state_dir), os.environ)
    found = [each for each in live if each.status.mountpoint == str(path)]
    found.sort(key=lambda each: each.status.mounted)
    if not found:
        _unmount_without_process(path, mount_at(path), lazy=lazy)
        return
    raise typer.Exit(_leave(found[-1], path, time.monotonic() + timeout, lazy=lazy))


def _unmount_without_process(path: Path, mount: Mount | None, *, lazy: bool) -> None:
    if mount is not None and not mount.is_fuse:
        raise NotMounted(f"{path} is a {mount.kind} mount, not one of cognitofs; use `umount`.")
    dead = mount is not None and is_dead(path)
    unmount(path, lazy=lazy or dead)
    say(f"{path} is unmounted" + ("; its process had died." if dead else "."))


def _leave(mount: LiveMount, path: Path, deadline: float, *, lazy: bool) -> Exit:
    in_time = lazy or _drained(mount, deadline)
    if mount_at(path) is not None:
        unmount(path, lazy=lazy)
        say(f"{path} is unmounted.")
    if lazy:
        return Exit.OK
    patience = max(_END_SECONDS, deadline - time.monotonic())
    if in_time and mount.status.pid and not ends(mount.status.pid, patience):
        in_time = False
    return _verdict(mount, in_time=in_time)


def _drained(mount: LiveMount, deadline: float) -> bool:
    """Wait for the uploads; return whether the mount says that it is done."""
    try:
        with DrainDisplay() as display:
            controlclient.drain(
                mount.socket,
                request="drain",
                seconds=max(0.1, deadline - time.monotonic()),
                progress=display.show,
            )
    except NotMounted:
        return True  # it ended by itself meanwhile
    except Stalled:
        return False
    except CognitoFSError as exc:
        complain(str(exc))
        return False
    return True


def ends(pid: int, seconds: float) -> bool:
    """Return whether the process *pid* is gone within *seconds*."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        ended, _, _ = select.select([descriptor], [], [], seconds)
    finally:
        os.close(descriptor)
    return bool(ended)


def _verdict(mount: LiveMount, *, in_time: bool) -> Exit:
    """Say what was left behind, from the disk; the process may be gone."""
    status = mount.status
    sizes = unsent_sizes(StateFiles(Path(status.state_directory))) if status.state_directory else []
    if not in_time:
        complain(
            f"Not everything could be sent in time; process {status.pid} goes on sending, "
            "and `cognitofs status` shows how far it is."
        )
        return Exit.DATA_PENDING
    if sizes:
        complain(
            f"{files_text(len(sizes), sum(sizes))} could not be sent and stay in "
            f"{status.state_directory}; mount again to go on, `cognitofs status` names them."
        )
        return Exit.DATA_PENDING
    return Exit.OK
