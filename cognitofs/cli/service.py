"""`cognitofs service`: a mount that comes with the login session, as a systemd user unit.

Owns the unit's text and its name. Starting and stopping is systemd's.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from cognitofs.cli.options import ConfigOption, ProfileOption, absolute
from cognitofs.cli.output import say
from cognitofs.config import require_mount
from cognitofs.errors import CognitoFSError, ConfigError
from cognitofs.safefiles import replace_durably
from cognitofs.settings import load_settings

service = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Mount at every login: a systemd unit of yours. It comes and goes with your session; "
    "`loginctl enable-linger` makes it come with the machine.",
)

DirectoryArgument = Annotated[
    Path, typer.Argument(metavar="MOUNTPOINT", help="The directory to mount on.")
]
_SYSTEMCTL_SECONDS = 120.0


@service.command()
def enable(
    directory: DirectoryArgument, *, profile: ProfileOption = None, config: ConfigOption = None
) -> None:
    """Mount now and at every login.

    For example:

      cognitofs service enable ~/cloud
    """
    config = absolute(config)
    settings = load_settings(profile, config)
    require_mount(settings.profile)
    path = _plain(directory)
    options = {"--profile": profile, "--config": config}
    unit = _unit_path(path)
    try:
        unit.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(unit, unit_text(path, [f"{k}={v}" for k, v in options.items() if v]))
    except OSError as exc:
        raise ConfigError(
            f"{unit} cannot be written ({exc.strerror}); check the directory."
        ) from exc
    _systemctl("daemon-reload")
    _systemctl("enable", "--now", unit.name)
    say(f"{path} is mounted, and will be at every login ({unit.name}).")


@service.command()
def disable(directory: DirectoryArgument) -> None:
    """Send everything, unmount, and mount no more at login."""
    unit = _unit_path(_plain(directory))
    if not unit.exists():
        raise ConfigError(f"There is no {unit.name}; `cognitofs service enable` makes one.")
    _systemctl("disable", "--now", unit.name)
    unit.unlink()
    _systemctl("daemon-reload")
    say(f"{directory} is not mounted at login any more.")


def unit_text(path: Path, options: list[str]) -> bytes:
    """Return the unit that mounts *path*; *options* are those of `cognitofs mount`.

    Source: systemd.service(5). `mount` returns when the mount answers, which is what "forking"
    waits for; a stop lasts as long as there is something to send.
    """
    # -P: a module of the working directory must not take a library's place.
    program = [sys.executable, "-P", "-m", "cognitofs"]
    start = _words([*program, "mount", *options, "--", str(path)])
    stop = _words([*program, "umount", "--", str(path)])
    lines = [
        "[Unit]",
        f"Description=cognitofs at {str(path).replace('%', '%%')}",
        "",
        "[Service]",
        "Type=forking",
        f"ExecStart={start}",
        f"ExecStop={stop}",
        "TimeoutStartSec=120",
        "TimeoutStopSec=infinity",
        "Restart=on-failure",
        "RestartSec=10",
        "# Not signed in, or a wrong configuration: trying again does not help.",
        "RestartPreventExitStatus=2 3 5 6",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    return "\n".join(lines).encode()


def _words(words: list[str]) -> str:
    """Quote a command for systemd: no variable, no specifier, no unquoted space."""
    quoted = []
    for word in words:
        if "\n" in word:
            raise ConfigError("A path with a line break cannot stand in a unit; use another one.")
        escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        quoted.append(f'"{escaped.replace("$", "$$")}"')
    return " ".join(quoted)


def _plain(directory: Path) -> Path:
    return Path(os.path.abspath(directory.expanduser()))


def _unit_path(path: Path) -> Path:
    """Return the unit's place; its name tells mountpoints apart as systemd-escape does."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    name = "".join(map(_escaped, str(path).strip("/")))
    return Path(home) / "systemd" / "user" / f"cognitofs-{name or 'root'}.service"


def _escaped(letter: str) -> str:
    """Return a letter of a path as it stands in a unit's name."""
    if letter == "/":
        return "-"
    if letter.isascii() and (letter.isalnum() or letter in "_."):
        return letter
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


def _systemctl(*words: str) -> None:
    try:
        done = subprocess.run(
            ["systemctl", "--user", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SYSTEMCTL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise CognitoFSError(
            f"systemctl cannot be used ({exc}); on a machine without systemd, put "
            "`cognitofs mount` into what your session starts."
        ) from exc
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CognitoFSError(
            f"`systemctl --user {' '.join(words)}` failed: {said}; see `journalctl --user`."
        )
