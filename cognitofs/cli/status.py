"""`cognitofs status`: what is mounted, and what S3 does not have yet."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cognitofs.cli.exits import Exit
from cognitofs.cli.options import (
    ConfigOption,
    JsonOption,
    ProfileOption,
    StateDirOption,
    state_base,
)
from cognitofs.cli.output import files_text, say, size_text
from cognitofs.control import FileStatus, MountStatus, State, status_document
from cognitofs.errors import NotMounted
from cognitofs.mountpoint import plain_path
from cognitofs.mounts import known_mounts


def status(
    directory: Annotated[
        Path | None, typer.Argument(metavar="MOUNTPOINT", help="Only this mount.")
    ] = None,
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Show your mounts and which files S3 does not have yet.

    States: clean, dirty (being written), sealed (waiting its turn), uploading, deleting, waiting
    (for a sign-in or the network), conflict and failed (kept here; a person decides), unmounted.
    Exit code 4: something is in conflict or failed.

    For example:

      cognitofs status

      cognitofs status ~/cloud --json
    """
    known = known_mounts(state_base(profile, config, state_dir), os.environ)
    chosen = known if directory is None else _only(plain_path(directory.expanduser()), known)
    if as_json:
        say(json.dumps(status_document(chosen), indent=2))
    else:
        _show(chosen)
    raise typer.Exit(Exit.DATA_PENDING if any(each.needs_person for each in chosen) else Exit.OK)


def _only(path: Path, known: tuple[MountStatus, ...]) -> tuple[MountStatus, ...]:
    found = tuple(each for each in known if each.mountpoint == str(path))
    if not found:
        raise NotMounted(f"{path} is not a mount of yours; `cognitofs status` lists the mounts.")
    return found


def _show(mounts: tuple[MountStatus, ...]) -> None:
    worth = [each for each in mounts if each.state != State.UNMOUNTED or each.pending_files]
    if not worth:
        say("Nothing is mounted, and nothing is left to send.")
    for mount in worth:
        for line in lines(mount):
            say(line)


def lines(mount: MountStatus) -> Iterator[str]:
    """Yield what a person should know of *mount*, the most important first."""
    waits = f" for the {'sign-in' if mount.waiting_for == 'auth' else 'network'}"
    state = mount.state + (waits if mount.waiting_for else "")
    yield f"{mount.mountpoint or '(mountpoint unknown)'}  {state}"
    identity = f" ({mount.identity_id})" if mount.identity_id else ""
    process = f", process {mount.pid}" if mount.pid else ""
    yield f"    {mount.s3_uri} as {mount.username or 'profile ' + mount.profile}{identity}{process}"
    if mount.pending_files:
        yield f"    to send: {files_text(mount.pending_files, mount.pending_bytes)}" + (
            f", {size_text(mount.uploading_bytes)} on the way" if mount.uploading_bytes else ""
        )
    if mount.sign_in_warning:
        yield f"    {mount.sign_in_warning}"
    if mount.renaming:
        done = f"{mount.rename_done:,} of {mount.rename_total:,} objects copied"
        yield f"    renaming {mount.renaming!r}: {done}"
    if mount.last_error:
        yield f"    last error: {mount.last_error}"
    if mount.state == State.UNMOUNTED:
        yield f"    mount it again to send them; they are kept in {mount.state_directory}"
    elif not mount.mounted:
        yield "    unmounted; the process ends when everything is sent"
    yield from (f"    {_file_line(file)}" for file in mount.files)
    for each in mount.conflicts:
        yield f"    {each.when}  {each.path!r} was changed elsewhere too; yours is {each.copy!r}"


def _file_line(file: FileStatus) -> str:
    sent = f"{size_text(file.sent)} of " if file.sent else ""
    error = f": {file.error}" if file.error else ""
    return f"{file.state:9}  {file.path!r:.200}  {sent}{size_text(file.size)}{error}"
