"""The configuration file: TOML with one table per profile, `[profiles.NAME]`.

Owns reading the tables as they are, and rewriting one of them with the others (and all comments)
untouched. Which keys exist and what they mean is for `settings.py`.

INVARIANT: the file is only ever replaced whole, has mode 0600 from the start, and a file with a
client secret that others could read is not used.
"""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from cognitofs.errors import ConfigError
from cognitofs.safefiles import replace_durably

Table = Mapping[str, object]


def read_profiles(path: Path) -> Mapping[str, Table]:
    """Return the profiles' tables by name; none when there is no file.

    Raises ConfigError when the file cannot be read, is not TOML, has other tables than
    `[profiles.NAME]`, or keeps a client secret where others can read it.
    """
    content, mode = _read(path)
    tables = _profiles(_parsed(content, path), path)
    if mode & 0o077 and any("client_secret" in table for table in tables.values()):
        raise ConfigError(
            f"{path} holds a client secret and can be read by others; run `chmod 600 {path}`."
        )
    return tables


def _read(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except FileNotFoundError:
        return b"", 0
    except OSError as exc:
        raise ConfigError(
            f"The configuration {path} cannot be read ({exc.strerror}); "
            "correct it or name another one with --config."
        ) from exc


def _parsed(content: bytes, path: Path) -> Mapping[str, object]:
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        # Only the place: the message of UnicodeDecodeError quotes bytes, which may be a secret.
        what = str(exc) if isinstance(exc, tomllib.TOMLDecodeError) else "it is not UTF-8"
        raise ConfigError(f"The configuration {path} is not valid TOML: {what}; fix it.") from exc


def _profiles(document: Mapping[str, object], path: Path) -> Mapping[str, Table]:
    stray = sorted(set(document) - {"profiles"})
    if stray:
        raise ConfigError(
            f"{path} has `{stray[0]}` outside a profile; write it below [profiles.default]."
        )
    profiles = document.get("profiles", {})
    if not isinstance(profiles, dict):
        raise ConfigError(f"In {path} `profiles` must be tables; write [profiles.default].")
    for name, table in profiles.items():
        if not isinstance(table, dict):
            raise ConfigError(f"In {path} `profiles.{name}` must be a table [profiles.{name}].")
    return profiles


def write_profile(path: Path, name: str, changes: Mapping[str, object]) -> None:
    """Set *changes* in `[profiles.NAME]`; keys may be dotted. "" removes a key.

    Raises ConfigError when the file is damaged or cannot be written.
    """
    read_profiles(path)
    content, _ = _read(path)
    try:
        document = tomlkit.parse(content.decode())
    except TOMLKitError as exc:
        raise ConfigError(f"The configuration {path} is not valid TOML; fix it first.") from exc
    profile = _subtable(_subtable(document, "profiles", is_super=True), name)
    for key, value in changes.items():
        _change(profile, key, value)
    _replace(path, tomlkit.dumps(document).encode())


# tomlkit's documents and tables share no public type that has item assignment.
def _subtable(parent: Any, key: str, *, is_super: bool = False) -> Any:  # noqa: ANN401 - see above
    if key not in parent:
        parent[key] = tomlkit.table(is_super_table=is_super)
    return parent[key]


def _change(table: Any, key: str, value: object) -> None:  # noqa: ANN401 - see above
    first, _, rest = key.partition(".")
    if rest:
        _change(_subtable(table, first), rest, value)
    elif value == "":
        table.pop(first, None)
    else:
        table[first] = value


def _replace(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A link to a file kept elsewhere (dotfiles) stays a link.
        replace_durably(path.resolve(), content)
    except OSError as exc:
        raise ConfigError(
            f"The configuration {path} cannot be written ({exc.strerror}); "
            "check the directory or name another file with --config."
        ) from exc
