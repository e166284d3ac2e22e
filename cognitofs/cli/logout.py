"""`cognitofs logout`: end the sign-in here and at Cognito, and with --purge what it left here.

Owns what may be removed: cached data and empty state, never a file that S3 does not have.
"""

import os
import shutil
from contextlib import suppress
from typing import Annotated

import typer

from cognitofs import where
from cognitofs.auth import account
from cognitofs.cli.options import ConfigOption, ProfileOption, StateDirOption, absolute
from cognitofs.cli.output import complain, files_text, say
from cognitofs.config import require_sign_in
from cognitofs.control import State
from cognitofs.errors import MountpointBusy, UnsentFiles
from cognitofs.mounts import known_mounts
from cognitofs.settings import Settings, load_settings
from cognitofs.state import Note, binding_in, known_states, note_in


def logout(
    *,
    purge: Annotated[
        bool,
        typer.Option(
            "--purge",
            help="Remove what was cached of this profile's files, too. Refused while something "
            "is mounted or not yet sent.",
        ),
    ] = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """End your sign-in here and at Cognito. Unsent files are kept.

    Keys that were issued before stay good for up to an hour.

    Exit code 4: with --purge, some files are not on S3 yet; nothing was removed.
    """
    settings = load_settings(profile, config, {"state_dir": absolute(state_dir)})
    require_sign_in(settings.profile)
    if purge:
        _require_nothing_left(settings)
    else:
        account.require_no_guest(account.token_store(settings.profile, settings.state))
    problem = account.sign_out(settings.profile, settings.state)
    say(f"Signed out of profile {settings.profile.name}.")
    if problem is not None:
        complain(
            "The sign-in is forgotten here, but could not be revoked at Cognito and ends there "
            f"by itself: {problem}"
        )
    if purge:
        say(f"Removed what was cached: {_purged(settings)} prefix(es).")


def _require_nothing_left(settings: Settings) -> None:
    """Raise UnsentFiles or MountpointBusy unless nothing of the profile is at work or unsent."""
    base = where.state_home(settings.options)
    mine = [
        each for each in known_mounts(base, os.environ) if each.profile == settings.profile.name
    ]
    for mount in mine:
        if mount.state != State.UNMOUNTED and mount.pid:
            raise MountpointBusy(
                f"{mount.mountpoint} still uses this sign-in; run "
                f"`cognitofs umount {mount.mountpoint}` first."
            )
    left = sum(each.pending_files for each in mine)
    if left:
        raise UnsentFiles(
            f"{files_text(left)} of this profile could not be sent yet and would be lost; mount "
            "again to send them, or run `cognitofs logout` without --purge."
        )


def _purged(settings: Settings) -> int:
    """Remove the caches of the profile's prefixes; return how many there were."""
    cache, removed = where.cache_home(settings.options), 0
    for files in known_states(where.state_home(settings.options)):
        note, binding = note_in(files) or Note(pid=0), binding_in(files)
        directory = cache / files.path.name
        if binding is None or note.profile != settings.profile.name or not directory.is_dir():
            continue
        shutil.rmtree(directory, ignore_errors=True)
        removed += 1
    with suppress(OSError):  # there are other prefixes' caches in it, or none was ever made
        cache.rmdir()
    return removed
