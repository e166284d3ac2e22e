"""`cognitofs login`, `logout` and `whoami`: who is signed in, from the first minute to the last.

Owns the dialogue and the words. The sign-in itself is `auth/account.py`.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from cognitofs.auth import account
from cognitofs.auth.account import Account
from cognitofs.auth.tokens import TokenSet
from cognitofs.cli.options import (
    ConfigOption,
    JsonOption,
    ProfileOption,
    StateDirOption,
    absolute,
)
from cognitofs.cli.output import complain, say
from cognitofs.cli.prompters import LinesPrompter, TerminalPrompter, is_terminal
from cognitofs.config import require_sign_in
from cognitofs.errors import AuthUnavailable, ConfigError, WrongCredentials
from cognitofs.settings import Settings, load_settings

_TRIES = 3


def login(
    *,
    username: Annotated[
        str | None, typer.Option("--username", "-u", metavar="NAME", help="Who signs in.")
    ] = None,
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin",
            help="Read the password from the first line of standard input, and what else may be "
            "asked (new password, code) from the next ones.",
        ),
    ] = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Sign in. A running mount takes the new sign-in over by itself.

    For example:

      cognitofs login

      cognitofs login --username alice --password-stdin < password-file
    """
    settings = load_settings(profile, config, {"state_dir": absolute(state_dir)})
    require_sign_in(settings.profile)
    if password_stdin:
        _with_lines(settings, username)
    elif is_terminal():
        _with_dialogue(settings, username)
    else:
        raise ConfigError(
            "There is no terminal to ask for a password; use --password-stdin with --username."
        )
    _show(account.open_account(settings.profile, settings.state))


def _with_lines(settings: Settings, username: str | None) -> None:
    if not username:
        raise ConfigError("--password-stdin needs to know whose password it is; add --username.")
    account.sign_in(settings.profile, settings.state, username, LinesPrompter(sys.stdin))


def _with_dialogue(settings: Settings, username: str | None) -> TokenSet:
    name = username or typer.prompt("User name", err=True)
    prompter = TerminalPrompter()
    for left in range(_TRIES - 1, -1, -1):
        try:
            return account.sign_in(settings.profile, settings.state, name, prompter)
        except WrongCredentials as exc:
            if not left:
                raise
            complain(str(exc))
    raise AssertionError("the last try returns or raises")


def _show(found: Account) -> None:
    say(f"Signed in as {found.username} ({found.identity_id}).")
    if found.profile.bucket:
        say(f"Your files are at {found.s3_uri}")
    say("The sign-in is renewed by itself until Cognito or `cognitofs logout` ends it.")
    option = "" if found.profile.name == "default" else f" --profile {found.profile.name}"
    say(f"Mount them with: cognitofs mount DIRECTORY{option}")


def logout(
    *,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """End your sign-in here and at Cognito. Unsent files are kept.

    Keys that were issued before stay good for up to an hour.
    """
    settings = load_settings(profile, config, {"state_dir": absolute(state_dir)})
    require_sign_in(settings.profile)
    problem = account.sign_out(settings.profile, settings.state)
    say(f"Signed out of profile {settings.profile.name}.")
    if problem is not None:
        complain(
            "The sign-in is forgotten here, but could not be revoked at Cognito and ends there "
            f"by itself: {problem}"
        )


def whoami(
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Show who is signed in and where the files are. Asks Cognito whether it still holds.

    Exit code 3: not signed in.
    """
    settings = load_settings(profile, config, {"state_dir": absolute(state_dir)})
    try:
        found = account.open_account(settings.profile, settings.state)
    except AuthUnavailable as exc:
        if settings.profile.credential_process:
            raise
        _show_stored(settings, exc, as_json=as_json)
    else:
        _show_json(found) if as_json else _show_account(found)


def _show_account(found: Account) -> None:
    who = found.username or "the credential process"
    identity = f" ({found.identity_id})" if found.identity_id else ""
    say(f"{who}{identity}, profile {found.profile.name}")
    if found.profile.bucket:
        say(f"files:      {found.s3_uri}")
    if found.signed_in_at:
        say(f"signed in:  {_time(found.signed_in_at)}")
    if found.expires_at:
        say(f"keys until: {_time(found.expires_at)}, renewed by themselves")


def _show_json(found: Account) -> None:
    document = {
        "profile": found.profile.name,
        "username": found.username,
        "sub": found.sub,
        "identity_id": found.identity_id,
        "bucket": found.profile.bucket,
        "root": found.root,
        "signed_in_at": _time(found.signed_in_at),
        "keys_expire_at": _time(found.expires_at),
        "checked": True,
    }
    say(json.dumps(document, indent=2))


def _show_stored(settings: Settings, problem: AuthUnavailable, *, as_json: bool) -> None:
    """Show what is kept here, since Cognito cannot be asked."""
    tokens = account.stored_sign_in(settings.profile, settings.state)
    if as_json:
        document = {
            "profile": settings.profile.name,
            "username": tokens.username,
            "sub": tokens.sub,
            "identity_id": tokens.identity_id,
            "bucket": settings.profile.bucket,
            "root": None,
            "signed_in_at": _time(tokens.signed_in_at),
            "keys_expire_at": None,
            "checked": False,
        }
        say(json.dumps(document, indent=2))
    else:
        say(f"{tokens.username} ({tokens.identity_id}), profile {settings.profile.name}")
    complain(f"Whether the sign-in still holds is not known: {problem}")


def _time(seconds: float | None) -> str | None:
    """Return a time in ISO 8601, UTC, in whole seconds; None for none."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
