"""`cognitofs why`: why S3 does not have a file as it is here, and what helps."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
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
from cognitofs.cli.output import say
from cognitofs.control import State
from cognitofs.kept import Kept, file_at
from cognitofs.quantities import about

_ALWAYS = "`cognitofs recover export DIR {id}` copies your version out, `discard` gives it up."
_REMEDIES: dict[str, str] = {
    State.DIRTY: "It is not closed yet: it is sent when the program closes it or calls fsync.",
    State.SEALED: "Nothing to do: it waits its turn.",
    State.UPLOADING: "Nothing to do: it is on its way.",
    State.CONFLICT: f"Your version and S3's are both kept. {_ALWAYS}",
    State.REFUSED: (
        "Ask for the right to delete, then `cognitofs recover retry {id}`;"
        " `cognitofs recover discard {id}` lets it stay."
    ),
    State.FAILED: f"Correct the cause, then `cognitofs recover retry {{id}}`. {_ALWAYS}",
}
_WAITS = {
    "auth": "`cognitofs login`; it goes on by itself then.",
    "network": "Nothing to do but to mend the network: it is tried again at least every minute.",
}


def why(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file in a mount.")],
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Say why S3 does not have a file as it is here, and what helps.

    Works while mounted and after. Exit code 4: S3 does not have it.

    For example:

      cognitofs why ~/cloud/report.odt
    """
    found = file_at(path.expanduser(), state_base(profile, config, state_dir), os.environ)
    if as_json:
        say(json.dumps({**asdict(found.file), "remedy": remedy(found)}, indent=2))
    else:
        for line in lines(found):
            say(line)
    clean = found.file.state == State.CLEAN
    raise typer.Exit(Exit.OK if clean else Exit.DATA_PENDING)


def lines(found: Kept) -> Iterator[str]:
    """Yield what a person should know of one file."""
    file = found.file
    where = os.path.join(found.mount.mountpoint, file.path.removesuffix("/"))
    if file.state == State.CLEAN:
        yield f"{where!r}: nothing of it is unsent."
    else:
        yield f"{where!r}: {file.state}, {about(file.sent)} of {about(file.size)} sent"
    if file.error:
        yield f"    cause: {file.error}"
    if file.attempts:
        yield f"    tries of this mount: {file.attempts}"
    if file.etag:
        yield f"    replaces the version {file.etag} on S3"
    if advice := remedy(found):
        yield f"    what helps: {advice}"
    for settled in found.mount.conflicts:
        if settled.path == file.path:
            yield f"    changed elsewhere too ({settled.when}): your version is {settled.copy!r}"


def remedy(found: Kept) -> str:
    """Return what a person can do for the file, "" when nothing is needed."""
    file = found.file
    if file.state == State.CLEAN:
        return ""
    if found.socket is None and file.state == State.SEALED:
        return "Mount it again: the next mount sends it."
    if file.state == State.WAITING:
        return _WAITS.get(found.mount.waiting_for, _WAITS["network"])
    return _REMEDIES.get(file.state, "").format(id=file.id[:8])
