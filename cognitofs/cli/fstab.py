"""`mount.cognitofs`: what mount(8) and /etc/fstab call, as the command line of `cognitofs mount`.

    default  /srv/files  cognitofs  allow_other,uid=1000,_netdev,nofail  0  0

Owns the translation; the first field is a profile. Source: mount(8), "External helpers":
`mount.TYPE SPEC DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE.SUBTYPE]`.
"""

import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import NoReturn

from cognitofs.cli.exits import Exit
from cognitofs.cli.main import run
from cognitofs.cli.output import complain
from cognitofs.config import MountOptions
from cognitofs.errors import ConfigError

# Exit codes of mount(8).
_WRONG_CALL, _MOUNT_FAILURE = 1, 32

# What mount(8), systemd and the kernel keep for themselves, or what is always so.
_OF_MOUNT = ("defaults", "rw", "auto", "noauto", "user", "users", "nouser", "owner", "group")
_OF_SYSTEMD = ("_netdev", "nofail")
_OF_KERNEL = ("exec", "noexec", "suid", "nosuid", "dev", "nodev", "async", "atime", "noatime")
_OF_TIMES = ("relatime", "norelatime", "diratime", "nodiratime")
_OTHERS = frozenset((*_OF_MOUNT, *_OF_SYSTEMD, *_OF_KERNEL, *_OF_TIMES))
_OTHERS_WITH_VALUES = ("x-", "X-", "comment=", "user=")
_RENAMED = {"ro": "read_only"}
_SWITCHES = frozenset(each.name for each in fields(MountOptions) if isinstance(each.default, bool))
_KEYS = frozenset(each.name for each in fields(MountOptions)) | {"layout", "config", "profile"}


def arguments_of(words: Sequence[str]) -> list[str]:
    """Return the command line of `cognitofs` for the *words* of a mount helper.

    Raises ConfigError for what neither mount(8) nor cognitofs knows.
    """
    places, options = _split(words)
    if len(places) != 2:
        raise ConfigError("mount.cognitofs is called by mount: `mount -t cognitofs PROFILE DIR`.")
    profile, directory = places
    made = ["mount", directory]
    if profile not in ("none", "cognitofs"):
        made.append(f"--profile={profile.removeprefix('cognitofs#')}")
    return made + [each for option in options for each in _translated(option)]


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    places: list[str] = []
    options: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "-o":
            options += [each for each in next(rest, "").split(",") if each]
        elif word in ("-t", "-N"):
            next(rest, "")
        elif not word.startswith("-"):
            places.append(word)
    return places, options


def _translated(option: str) -> list[str]:
    name, equals, value = option.partition("=")
    name = _RENAMED.get(name, name.replace("-", "_"))
    if option in _OTHERS or option.startswith(_OTHERS_WITH_VALUES):
        return []
    if name not in _KEYS or (name not in _SWITCHES and not equals):
        raise ConfigError(
            f"cognitofs has no mount option {option!r}; the options stand in the README, for "
            "example sync=fsync or allow_other."
        )
    flag = f"--{name.replace('_', '-')}"
    if name not in _SWITCHES:
        return [f"{flag}={value}"]
    return [flag] if value in ("", "true", "yes", "on", "1") else []


def main() -> NoReturn:
    """Mount as mount(8) asks, and end with one of its codes."""
    try:
        code = run(arguments_of(sys.argv[1:]))
    except ConfigError as exc:
        complain(str(exc))
        code = Exit.USAGE
    sys.exit({Exit.OK: 0, Exit.USAGE: _WRONG_CALL}.get(Exit(code), _MOUNT_FAILURE))
