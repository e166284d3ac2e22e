"""`cognitofs refresh`: drop what is cached, so that the next look asks S3."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from cognitofs import controlclient
from cognitofs.cli.options import (
    ConfigOption,
    JsonOption,
    ProfileOption,
    StateDirOption,
    state_base,
)
from cognitofs.cli.output import say
from cognitofs.mounts import live_mounts, mount_of, path_in


def refresh(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files and directories in a mount.")
    ],
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Drop what is cached of files and directories, so that the next look asks S3.

    Names, sizes, times, modes and bytes are forgotten, by the mount and by the kernel; of a
    directory also everything below it. What S3 does not have yet is untouched, and an open file
    goes on with the version that it was opened with. Without it, changes by others are seen
    within --metadata-ttl.

    For example:

      cognitofs refresh ~/cloud/photos
    """
    live = live_mounts(state_base(profile, config, state_dir), os.environ)
    named = [(path, mount_of(path.expanduser(), live)) for path in paths]
    told = []
    for path, mount in named:
        inside = _key(path_in(mount.status, path.expanduser()))
        names = controlclient.refresh(mount.socket, [inside]).get(inside, 0)
        told.append({"path": str(path), "mountpoint": mount.status.mountpoint, "names": names})
        if not as_json:
            say(f"{path}: {_names_text(names)} forgotten.")
    if as_json:
        say(json.dumps({"refreshed": told}, indent=2))


def _key(inside: str) -> str:
    return "" if inside == "." else inside


def _names_text(count: int) -> str:
    return "1 name" if count == 1 else f"{count:,} names"
