"""`cognitofs recover`: what S3 does not have and only a person can decide about."""

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cognitofs import controlclient
from cognitofs.cli.exits import Exit
from cognitofs.cli.options import (
    ConfigOption,
    JsonOption,
    ProfileOption,
    StateDirOption,
    state_base,
)
from cognitofs.cli.output import DrainDisplay, complain, files_text, say
from cognitofs.control import State
from cognitofs.errors import CognitoFSError, ConfigError
from cognitofs.export import SUMS, export
from cognitofs.kept import Kept, discard, kept_files, retry_later
from cognitofs.quantities import about

_SHORT = 8
"""Digits of an id that are shown; any beginning that only one file has names it."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help=(
        "List, send again, copy out or give up the files that S3 does not have.\n\n"
        "Works while mounted and after. WHICH is an id of `recover list`, the beginning of one, "
        "or a path in the mount. Exit code 4: something is still not on S3."
    ),
)

Which = Annotated[
    list[str] | None, typer.Argument(metavar="[WHICH]...", help="Ids or paths of files.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All kept files.")]


@app.command("list")
def list_(
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """List the files that are kept here, lost+found included, and why.

    For example:

      cognitofs recover list

      cognitofs recover list --json
    """
    kept = kept_files(state_base(profile, config, state_dir), os.environ)
    if as_json:
        say(json.dumps({"files": [_document(each) for each in kept]}, indent=2))
    elif not kept:
        say("Nothing is kept here: S3 has everything.")
    else:
        for each in kept:
            say(_line(each))
    raise typer.Exit(_code(kept))


@app.command()
def retry(
    which: Which = None,
    *,
    every: AllOption = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Longest wait for uploads.")
    ] = 600.0,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Try again to send files, also those that failed; wait for the outcome.

    Files of a prefix that is not mounted are tried by its next mount.

    For example:

      cognitofs recover retry --all
    """
    base = state_base(profile, config, state_dir)
    chosen = [each for each in _chosen(base, which, every=every) if not each.is_lost]
    retry_later(chosen)
    deadline = time.monotonic() + timeout
    for socket in {each.socket for each in chosen if each.socket is not None}:
        with DrainDisplay() as display:
            seconds = max(0.1, deadline - time.monotonic())
            controlclient.drain(socket, request="sync", seconds=seconds, progress=display.show)
    ids = {each.file.id for each in chosen}
    left = [each for each in kept_files(base, os.environ) if each.file.id in ids]
    say(f"{files_text(len(chosen) - len(left))} sent.")
    for each in left:
        later = "" if each.socket else " (the next mount tries)"
        complain(f"{each.file.path!r} is not sent{later}: {each.file.error or 'mount it again.'}")
    raise typer.Exit(_code(left))


@app.command("export")
def export_(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is missing.")],
    which: Which = None,
    *,
    every: AllOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Copy kept files to DIR, under their names; they stay kept.

    Each is read back and compared; DIR/SHA256SUMS is for `sha256sum -c`. Nothing is overwritten.

    For example:

      cognitofs recover export ~/rescued --all
    """
    chosen = _chosen(state_base(profile, config, state_dir), which, every=every)
    place = directory.expanduser().absolute()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"{place} cannot be made ({exc.strerror}); name another.") from exc
    failed = 0
    for each in chosen:
        try:
            done = export(each, place)
        except CognitoFSError as exc:
            complain(str(exc))
            failed += 1
        else:
            say(f"{done.sha256[:16]:16}  {about(each.file.size):>9}  {done.path}")
    say(f"{files_text(len(chosen) - failed)} copied and compared; sums in {place / SUMS}.")
    raise typer.Exit(Exit.DATA_PENDING if failed else Exit.OK)


@app.command("discard")
def discard_(
    which: Which = None,
    *,
    every: AllOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Give kept files up for good: their unsent bytes are deleted. S3 is not changed.

    A name stands again for the version on S3, if there is one. Export first when in doubt.

    For example:

      cognitofs recover discard 3f2a9c01
    """
    chosen = _chosen(state_base(profile, config, state_dir), which, every=every)
    for each in chosen:
        if each.file.state == State.REFUSED:
            complain(f"stays on S3: {each.file.path!r}, which was removed here")
            continue
        after = "S3's older version stays" if each.file.etag else "there is no other copy"
        complain(f"to be lost: {each.file.path!r}, {about(each.file.size)}; {after}")
    if chosen and not yes:
        _ask(chosen)
    discard(chosen)
    say(f"{files_text(len(chosen))} given up.")


def _ask(chosen: Sequence[Kept]) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("Nothing was given up: say --yes where nobody can be asked.")
    if not typer.confirm(f"Delete {files_text(len(chosen))} for good?", default=False):
        say("Nothing was given up.")
        raise typer.Exit(Exit.FAILURE)


def _chosen(base: Path, which: list[str] | None, *, every: bool) -> tuple[Kept, ...]:
    """Return the files that the person named. Raises ConfigError for a name that fits none."""
    if bool(which) == every:
        raise ConfigError("Name files by id or path (`cognitofs recover list`), or say --all.")
    kept = kept_files(base, os.environ)
    if every:
        return kept
    named = {id(each): each for word in which or () for each in _named(word, kept)}
    return tuple(named.values())


def _named(word: str, kept: Sequence[Kept]) -> Sequence[Kept]:
    exact = [each for each in kept if each.file.id == word]
    path = os.path.abspath(Path(word).expanduser())
    found = (
        exact
        or [each for each in kept if len(word) >= 4 and each.file.id.startswith(word)]
        or [each for each in kept if path == _path(each) or word == each.file.path]
    )
    if not found:
        raise ConfigError(f"No kept file is called {word!r}; `cognitofs recover list` names them.")
    if len({each.file.id for each in found}) > 1 and not _is_one_path(found):
        raise ConfigError(f"{word!r} begins several ids; give more digits.")
    return found


def _is_one_path(found: Sequence[Kept]) -> bool:
    return len({(each.mount.state_directory, each.file.path) for each in found}) == 1


def _path(kept: Kept) -> str:
    return os.path.join(kept.mount.mountpoint, kept.file.path.removesuffix("/"))


def _document(kept: Kept) -> dict[str, object]:
    where = {"mountpoint": kept.mount.mountpoint, "mounted": kept.socket is not None}
    return {**asdict(kept.file), **where, "s3_uri": kept.mount.s3_uri}


def _line(kept: Kept) -> str:
    why = f": {kept.file.error}" if kept.file.error else ""
    size = about(kept.file.size)
    when = f"  {kept.file.when}" if kept.file.when else ""
    return f"{kept.file.id[:_SHORT]}  {kept.file.state:9}  {size:>9}  {_path(kept)!r}{when}{why}"


def _code(kept: Sequence[Kept]) -> Exit:
    return Exit.DATA_PENDING if kept else Exit.OK
