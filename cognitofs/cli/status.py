"""`cognitofs status`: what is mounted, and what S3 does not have yet."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cognitofs.cli.exits import Exit
from cognitofs.cli.filestatus import path_status
from cognitofs.cli.options import (
    ConfigOption,
    JsonOption,
    ProfileOption,
    StateDirOption,
    state_base,
)
from cognitofs.cli.output import files_text, say
from cognitofs.cli.watching import Shown, awaited, watched
from cognitofs.control import MOST_FILES, FileStatus, MountStatus, State, status_document
from cognitofs.kept import lost_in
from cognitofs.mountpoint import plain_path
from cognitofs.mounts import known_mounts
from cognitofs.quantities import about

_HIDDEN_SHOWN = 3


def status(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="Only this mount, or this file or directory in one."),
    ] = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again whenever it changes.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait-clean", help="Return when S3 has everything.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Longest wait of --wait-clean.")
    ] = 600.0,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Show your mounts, or one file, and what S3 does not have yet.

    States: clean, dirty (being written), sealed (waiting its turn), uploading, deleting, waiting
    (for a sign-in or the network), conflict, failed and refused (a deletion); a person
    decides about these; unmounted.
    Exit code 4: something is in conflict or failed; with --wait-clean also: something is left.

    For example:

      cognitofs status

      cognitofs status ~/cloud --watch

      cognitofs status ~/cloud/film.mp4 --json

      cognitofs status --wait-clean --timeout 60 && poweroff
    """
    base = state_base(profile, config, state_dir)
    ask = partial(_look, None if path is None else path.expanduser(), base)
    deadline = time.monotonic() + timeout if wait else None
    if watch:
        found = watched(ask, as_json=as_json, until_clean=wait, deadline=deadline)
    else:
        found = ask() if deadline is None else awaited(ask, deadline)
        say(json.dumps(found.document(), indent=2) if as_json else "\n".join(found.lines()))
    is_left = found.needs_person or (wait and not found.is_clean)
    raise typer.Exit(Exit.DATA_PENDING if is_left else Exit.OK)


@dataclass(frozen=True, slots=True)
class MountsStatus:
    """Some or all of a person's mounts."""

    mounts: tuple[MountStatus, ...]

    @property
    def is_clean(self) -> bool:
        """Tell whether S3 has everything."""
        return not any(each.pending_files or each.needs_person for each in self.mounts)

    @property
    def needs_person(self) -> bool:
        """Tell whether something will not resolve by itself."""
        return any(each.needs_person for each in self.mounts)

    @property
    def goes_on(self) -> bool:
        """Tell whether a process works on what is left."""
        return any(
            each.pid and each.pending_files > each.failed_files + each.conflict_files
            for each in self.mounts
        )

    def document(self) -> dict[str, object]:
        """Return the document of `--json`."""
        return status_document(self.mounts)

    def lines(self) -> Iterator[str]:
        """Yield what a person should know."""
        worth = [
            each
            for each in self.mounts
            if each.state != State.UNMOUNTED or each.pending_files or each.lost
        ]
        if not worth:
            yield "Nothing is mounted, and nothing is left to send."
        for mount in worth:
            yield from lines(mount)


def _look(path: Path | None, base: Path) -> Shown:
    """Return what there is to say of *path*: a mount, something in one, or all mounts (None)."""
    known = tuple(replace(m, lost=lost_in(m)) for m in known_mounts(base, os.environ))
    if path is None:
        return MountsStatus(known)
    written = plain_path(path)
    mounts = tuple(each for each in known if each.mountpoint == str(written))
    return MountsStatus(mounts) if mounts else path_status(path, base)


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
            f", {about(mount.uploading_bytes)} on the way" if mount.uploading_bytes else ""
        )
    if mount.cache_bytes:
        yield f"    cached: {about(mount.cache_bytes)} of {about(mount.cache_size)}"
    if mount.sign_in_warning:
        yield f"    {mount.sign_in_warning}"
    if mount.renaming:
        done = f"{mount.rename_done:,} of {mount.rename_total:,} objects copied"
        yield f"    renaming {mount.renaming!r}: {done}"
    if mount.hidden_keys:
        yield f"    {_hidden_line(mount)}"
    if mount.last_error:
        yield f"    last error: {mount.last_error}"
    if mount.state == State.UNMOUNTED and mount.pending_files:
        yield f"    mount it again to send them; they are kept in {mount.state_directory}"
    elif not mount.mounted:
        yield "    unmounted; the process ends when everything is sent"
    yield from (f"    {_file_line(file)}" for file in mount.files)
    yield from (f"    {_file_line(file)}" for file in mount.lost[:MOST_FILES])
    if mount.lost:
        yield "    what is lost is kept: see `cognitofs recover --help`"
    yield from (f"    {event}" for event in _events(mount))


def _events(mount: MountStatus) -> Iterator[str]:
    """Yield what happened without a program hearing of it."""
    if mount.away_since:
        yield f"S3 does not answer since {mount.away_since}: names are shown as last seen"
    if mount.transfers < mount.most_transfers:
        yield (
            f"S3 asked to slow down at {mount.slowed_at}: {mount.transfers} of"
            f" {mount.most_transfers} transfers at once for now"
        )
    if mount.metadata < mount.most_metadata:
        yield (
            f"S3 asked to slow down at {mount.metadata_slowed_at}: {mount.metadata} of"
            f" {mount.most_metadata} questions about names and attributes at once for now"
        )
    for gone in mount.refused_deletions:
        yield f"{gone.when}  {gone.path!r} could not be removed and shows again: {gone.error}"
    for each in mount.conflicts:
        yield f"{each.when}  {each.path!r} was changed elsewhere too; yours is {each.copy!r}"


def _hidden_line(mount: MountStatus) -> str:
    named = ", ".join(repr(key)[:100] for key in mount.hidden[:_HIDDEN_SHOWN])
    more = ", ..." if mount.hidden_keys > _HIDDEN_SHOWN else ""
    keys = "key that cannot" if mount.hidden_keys == 1 else "keys that cannot"
    return f"hidden: {mount.hidden_keys:,} {keys} be shown as a file: {named}{more}"


def _file_line(file: FileStatus) -> str:
    sent = f"{about(file.sent)} of " if file.sent else ""
    error = f": {file.error}" if file.error else ""
    when = f"  {file.when}" if file.when else ""
    return f"{file.state:9}  {file.path!r:.200}  {sent}{about(file.size)}{when}{error}"
