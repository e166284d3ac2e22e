"""`cognitofs sync`: wait until S3 has everything."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from cognitofs import controlclient
from cognitofs.cli.exits import Exit
from cognitofs.cli.options import ConfigOption, ProfileOption, StateDirOption, state_base
from cognitofs.cli.output import DrainDisplay, complain, files_text, say
from cognitofs.control import DrainProgress
from cognitofs.mounts import LiveMount, live_mounts, mount_of


def sync(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="A path in the mount to wait for; all mounts if none."),
    ] = None,
    *,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Longest wait for uploads.")
    ] = 600.0,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Wait until everything that was closed in a mount is on S3.

    Exit code 4: something could not be sent; `cognitofs status` names it.

    For example:

      cognitofs sync ~/cloud

      cp -r photos ~/cloud && cognitofs sync
    """
    live = live_mounts(state_base(profile, config, state_dir), os.environ)
    chosen = live if path is None else (mount_of(path.expanduser(), live),)
    if not chosen:
        say("Nothing is mounted.")
    deadline = time.monotonic() + timeout
    codes = [_synced(mount, deadline) for mount in chosen]
    raise typer.Exit(max(codes, default=Exit.OK))


def _synced(mount: LiveMount, deadline: float) -> Exit:
    with DrainDisplay() as display:
        left = controlclient.drain(
            mount.socket,
            request="sync",
            seconds=max(0.1, deadline - time.monotonic()),
            progress=display.show,
        )
    if left.is_clean:
        say(f"{mount.status.mountpoint}: S3 has everything.")
        return Exit.OK
    complain(f"{mount.status.mountpoint}: {unsent_sentence(left)}")
    return Exit.DATA_PENDING


def unsent_sentence(left: DrainProgress) -> str:
    """Return what a drain could not send, and where to look."""
    count = max(left.pending_files, left.failed_files + left.conflict_files)
    reason = f" ({left.last_error.rstrip('.')})" if left.last_error else ""
    return f"{files_text(count)} could not be sent{reason}; `cognitofs status` names them."
