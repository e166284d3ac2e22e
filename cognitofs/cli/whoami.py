"""`cognitofs whoami`: who is signed in, and for how long.

Owns its words and its JSON document.
"""

import json

from cognitofs.auth import account
from cognitofs.auth.account import Account
from cognitofs.auth.role import role_of
from cognitofs.auth.tokens import TokenSet
from cognitofs.cli.options import (
    ConfigOption,
    JsonOption,
    ProfileOption,
    StateDirOption,
    absolute,
)
from cognitofs.cli.output import complain, say
from cognitofs.cli.places import places
from cognitofs.config import Profile
from cognitofs.errors import AuthUnavailable
from cognitofs.quantities import time_text
from cognitofs.settings import Settings, load_settings


def whoami(
    *,
    as_json: JsonOption = False,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Show who is signed in and where the files are. Asks Cognito whether it still holds.

    When the sign-in itself ends is an estimate: Cognito tells only administrators how long
    an app client's sign-ins last (`refresh_token_validity` of the profile, 30 days unless set).

    Exit code 3: not signed in.
    """
    settings = load_settings(profile, config, {"state_dir": absolute(state_dir)})
    try:
        found = account.open_account(settings.profile, settings.state)
    except AuthUnavailable as exc:
        if settings.profile.credential_process or settings.profile.login_command:
            raise
        _show_stored(settings, exc, as_json=as_json)
    else:
        role = role_of(found.credentials.current(), found.profile)
        _show_json(found, role) if as_json else _show_account(found, role)


def _show_account(found: Account, role: str) -> None:
    identity = f" ({found.identity_id})" if found.identity_id else ""
    say(f"{found.who}{identity}, profile {found.profile.name}")
    lines = {
        "sub": found.sub,
        "role": role,
        "files": f"\n{'':15}".join(places(found)),
        "signed in": _time(found.tokens.signed_in_at) if found.tokens else "",
        "keys until": f"{_time(found.expires_at)}, renewed by themselves"
        if found.expires_at
        else "",
        "sign-in until": _end_text(found),
    }
    for name, text in lines.items():
        if text:
            say(f"{name + ':':14} {text}")


def _end_text(found: Account) -> str:
    ends = found.sign_in_ends
    if ends is None:
        return ""
    days = found.profile.refresh_token_validity / 86400
    return f"about {_time(ends)} (if sign-ins to this application last {days:g} days)"


def _show_json(found: Account, role: str) -> None:
    document = _document(found.profile, found.tokens) | {
        "identity_id": found.identity_id,
        "role": role,
        "root": found.root,
        "s3_uri": found.s3_uri if found.profile.bucket else "",
        "s3_uris": places(found),
        "keys_expire_at": _time(found.expires_at),
        "checked": True,
    }
    say(json.dumps(document, indent=2))


def _show_stored(settings: Settings, problem: AuthUnavailable, *, as_json: bool) -> None:
    """Show what is kept here, since Cognito cannot be asked."""
    tokens = account.stored_sign_in(settings.profile, settings.state)
    if as_json:
        say(json.dumps(_document(settings.profile, tokens), indent=2))
    else:
        who = tokens.username or "a guest"
        say(f"{who} ({tokens.identity_id}), profile {settings.profile.name}")
    complain(f"Whether the sign-in still holds is not known: {problem}")


def _document(profile: Profile, tokens: TokenSet | None) -> dict[str, object]:
    """Return what is known without asking anybody."""
    ends = tokens.ends_at(profile.refresh_token_validity) if tokens else None
    return {
        "profile": profile.name,
        "username": tokens.username if tokens else "",
        "sub": tokens.sub if tokens else "",
        "is_guest": tokens is not None and tokens.is_guest,
        "identity_id": tokens.identity_id if tokens else "",
        "role": "",
        "bucket": profile.bucket,
        "root": None,
        "s3_uri": "",
        "s3_uris": (),
        "signed_in_at": _time(tokens.signed_in_at) if tokens else None,
        "keys_expire_at": None,
        "sign_in_ends_at": _time(ends),
        "checked": False,
    }


def _time(seconds: float | None) -> str | None:
    """Return a time in ISO 8601, UTC, in whole seconds; None for none."""
    return None if seconds is None else time_text(seconds)
