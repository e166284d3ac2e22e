"""`cognitofs login`: sign in, in each of the ways that Cognito knows.

Owns the dialogue and the words. The sign-in itself is `auth/account.py` and `auth/browser.py`.
"""

import os
import sys
import threading
import webbrowser
from typing import Annotated, get_args

import typer

from cognitofs import where
from cognitofs.auth import account
from cognitofs.auth.account import Account, Way
from cognitofs.auth.clock import ServerClock
from cognitofs.auth.signin import Flow
from cognitofs.auth.tokens import TokenSet
from cognitofs.cli.options import (
    ConfigOption,
    ProfileOption,
    StateDirOption,
    absolute,
)
from cognitofs.cli.output import complain, say
from cognitofs.cli.places import places
from cognitofs.cli.prompters import LinesPrompter, TerminalPrompter, is_terminal
from cognitofs.config import require_sign_in
from cognitofs.configfile import write_profile
from cognitofs.errors import ConfigError, WrongCredentials, WrongIdentity
from cognitofs.mounts import live_mounts
from cognitofs.settings import Settings, load_settings

_TRIES = 3


_Username = Annotated[
    str | None, typer.Option("--username", "-u", metavar="NAME", help="Who signs in.")
]
_PasswordStdin = Annotated[
    bool,
    typer.Option(
        "--password-stdin",
        help="Read the password from the first line of standard input, and what else may be "
        "asked (new password, code) from the next ones.",
    ),
]
_Flow = Annotated[
    str | None,
    typer.Option(
        "--flow",
        metavar="srp|password|choice",
        help="How the password is proved: never sent (srp, the default), sent, or as the pool "
        "offers.",
    ),
]
_Browser = Annotated[
    bool | None,
    typer.Option(
        "--browser/--no-browser",
        help="Sign in on the application's own page: in a browser here, or (--no-browser) in "
        "one anywhere, by pasting the address that it ends at.",
    ),
]
_Guest = Annotated[bool, typer.Option("--guest", help="Be a guest, without an account.")]
_ForgotPassword = Annotated[
    bool,
    typer.Option("--forgot-password", help="Set a new password with a code from Cognito."),
]
_RememberDevice = Annotated[
    bool,
    typer.Option(
        "--remember-device",
        help="Ask for no second factor on this machine again, where the pool allows that.",
    ),
]
_Keyring = Annotated[
    bool | None,
    typer.Option(
        "--keyring/--no-keyring",
        help="Keep the sign-in's secrets in the desktop's keyring; noted in the profile.",
    ),
]


def login(
    *,
    username: _Username = None,
    password_stdin: _PasswordStdin = False,
    flow: _Flow = None,
    browser: _Browser = None,
    guest: _Guest = False,
    forgot_password: _ForgotPassword = False,
    remember_device: _RememberDevice = False,
    keyring: _Keyring = None,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Sign in. A running mount takes the new sign-in over by itself.

    Exit code 6: a mount of this profile is somebody else's; nothing was changed.

    For example:

      cognitofs login

      cognitofs login --browser

      cognitofs login --username alice --password-stdin < password-file
    """
    given = {"state_dir": absolute(state_dir), "keyring": keyring, "sign_in": _way(flow, guest)}
    settings = load_settings(profile, config, given)
    require_sign_in(settings.profile)
    _require_one_way(flow=flow, browser=browser, guest=guest, password_stdin=password_stdin)
    way, former = settings.profile.sign_in, account.former_sign_in(settings.profile, settings.state)
    if way == "guest":
        _as_guest(settings)
    elif browser is not None or (way == "browser" and not password_stdin):
        _with_browser(settings, is_here=browser is not False)
    else:
        _with_password(settings, username, password_stdin, forgot_password, remember_device)
    if keyring is not None:
        # Mounts and later commands look where the profile says.
        write_profile(settings.source, settings.profile.name, {"keyring": keyring})
    found = account.open_account(settings.profile, settings.state)
    _require_same_person(settings, found, former)
    _show(found)


def _require_same_person(settings: Settings, found: Account, former: TokenSet | None) -> None:
    """Put the former sign-in back when a running mount of the profile is somebody else's.

    Raises WrongIdentity then. The mount itself would have refused, too, and waited for ever.
    """
    for each in live_mounts(where.state_home(settings.options), os.environ):
        mount = each.status
        if mount.profile != settings.profile.name or mount.identity_id in ("", found.identity_id):
            continue
        account.put_back(settings.profile, settings.state, former)
        raise WrongIdentity(
            f"{mount.mountpoint} is mounted with this profile by "
            f"{mount.username or mount.identity_id}, and {found.who} is somebody else; sign in as "
            "before, unmount it first, or use another --profile."
        )


def _way(flow: str | None, guest: bool) -> str | None:
    if flow is not None and flow not in get_args(Flow):
        raise ConfigError(f"--flow takes {', '.join(get_args(Flow))}, not {flow!r}; correct it.")
    return "guest" if guest else flow


def _require_one_way(
    *, flow: str | None, browser: bool | None, guest: bool, password_stdin: bool
) -> None:
    given = [
        name
        for name, is_given in (
            ("--guest", guest),
            ("--browser or --no-browser", browser is not None),
            ("--flow or --password-stdin", flow is not None or password_stdin),
        )
        if is_given
    ]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} and {given[1]} are two ways to sign in; choose one.")


# -- the ways --------------------------------------------------------------------------------------


def _as_guest(settings: Settings) -> None:
    if settings.profile.user_pool_id and not _is_guest_profile(settings):
        complain("This profile has a user pool; as a guest you get files of your own.")
    tokens = account.sign_in_as_guest(settings.profile, settings.state)
    complain(
        f"A guest has no password: the identity {tokens.identity_id}, kept in {settings.state}, is "
        "all that leads to the files. Whoever loses it loses them; whoever copies it has them."
    )


def _is_guest_profile(settings: Settings) -> bool:
    name, source = settings.profile.name, settings.source
    return source.exists() and load_settings(name, source).profile.sign_in == "guest"


def _with_browser(settings: Settings, *, is_here: bool) -> None:
    # OAuth is for those who use it: it costs an HTTP server's import.
    from cognitofs.auth.browser import HostedLogin  # noqa: PLC0415 - see above

    clock, store = ServerClock(), account.token_store(settings.profile, settings.state)
    account.require_no_guest(store)
    hosted = HostedLogin(settings.profile, clock)
    tokens = hosted.through_browser(_open) if is_here else hosted.through_paste(_pasted)
    account.keep(store, tokens, clock)


def _open(url: str) -> None:
    """Open *url* if there is a browser to open; say it in any case."""
    graphical = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if any(os.environ.get(name) for name in graphical):
        # A text browser would take the terminal over; and some return only when they are closed.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        complain("Your browser opens. If it does not, open this address in it:")
    else:
        complain("Open this address in a browser of this machine:")
    # On a line of its own, unwrapped: it is to be clicked or copied.
    sys.stderr.write(f"\n{url}\n\n")
    sys.stderr.flush()


def _pasted(url: str) -> str:
    complain("Open this address in a browser anywhere, and sign in there:")
    sys.stderr.write(f"\n{url}\n\n")
    complain("The browser then shows a page that does not load. Paste its whole address here:")
    line = sys.stdin.readline()
    if not line:
        raise ConfigError("No address was pasted; run the command again in a terminal.")
    return line


def _with_password(
    settings: Settings,
    username: str | None,
    password_stdin: bool,
    forgot_password: bool,
    remember_device: bool,
) -> None:
    flow: Flow = "srp"
    if settings.profile.sign_in in get_args(Flow):
        flow = settings.profile.sign_in  # type: ignore[assignment]
    if password_stdin:
        # Who asks a script would wait for ever: the password is what it has.
        way = Way(flow, "PASSWORD_SRP" if flow == "choice" else "", remember_device)
        _with_lines(settings, username, way)
    elif is_terminal():
        _with_dialogue(settings, username, Way(flow, "", remember_device), forgot_password)
    else:
        raise ConfigError(
            "There is no terminal to ask for a password; use --password-stdin with --username."
        )


def _with_lines(settings: Settings, username: str | None, way: Way) -> None:
    if not username:
        raise ConfigError("--password-stdin needs to know whose password it is; add --username.")
    lines = LinesPrompter(sys.stdin)
    account.sign_in(settings.profile, settings.state, username, lines, way=way)


def _with_dialogue(
    settings: Settings, username: str | None, way: Way, forgot_password: bool
) -> TokenSet:
    name = username or typer.prompt("User name", err=True)
    prompter = TerminalPrompter()
    if forgot_password:
        account.forget_password(settings.profile, name, prompter)
        complain("The new password is set; sign in with it.")
    for left in range(_TRIES - 1, -1, -1):
        try:
            return account.sign_in(settings.profile, settings.state, name, prompter, way=way)
        except WrongCredentials as exc:
            if not left:
                raise
            complain(str(exc))
    raise AssertionError("the last try returns or raises")


def _show(found: Account) -> None:
    say(f"Signed in as {found.who} ({found.identity_id}).")
    for place in places(found):
        say(f"Your files are at {place}")
    if not found.is_guest:
        say("The sign-in is renewed by itself until Cognito or `cognitofs logout` ends it.")
    option = "" if found.profile.name == "default" else f" --profile {found.profile.name}"
    say(f"Mount them with: cognitofs mount DIRECTORY{option}")
