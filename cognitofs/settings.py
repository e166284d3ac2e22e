"""Settings: flags, environment and profile merged once into a `Profile` and `MountOptions`.

Owns the precedence (flags, then COGNITOFS_*, then the file, then the COGNITO_* and AWS_REGION of
other tools, then the defaults), the flat names of all keys (`endpoints.s3`), and the complaint
about an unknown one. Does not know the files' form (`configfile.py`) nor the values' meaning
(`config.py`).

INVARIANT: a secret comes from the file only, never from the environment or a flag.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cognitofs import quantities, where
from cognitofs.config import (
    DEFAULT_PROFILE,
    Endpoints,
    MountOptions,
    Profile,
    check_profile_name,
)
from cognitofs.configfile import Table, read_profiles
from cognitofs.errors import ConfigError

PROFILE_VARIABLE = "COGNITOFS_PROFILE"

_ENDPOINTS = {f"endpoints.{each.name}": each.name for each in fields(Endpoints)}
_PROFILE = tuple(each.name for each in fields(Profile) if each.name not in ("name", "endpoints"))
_READINGS = {each.name: each.metadata["reading"] for each in fields(MountOptions)}
_PROFILE_READINGS = {
    each.name: each.metadata["reading"] for each in fields(Profile) if "reading" in each.metadata
}
_KEYS = (*_PROFILE, *_ENDPOINTS, *_READINGS)
SECRETS = frozenset({"client_secret"})
"""Keys whose values may stand in the file only."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything configured, and the file it came from (which need not exist)."""

    profile: Profile
    options: MountOptions
    source: Path

    @property
    def state(self) -> Path:
        """State directory of this profile."""
        return where.profile_state(self.options, self.profile.name)


def load_settings(
    profile: str | None = None,
    config: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Return what *flags*, *environ* and the file say, in this order of precedence.

    *flags* has flat keys (`part_size`, `endpoints.s3`); None is a flag that was not given.
    Raises ConfigError naming the key, and for an unknown key the nearest right one.
    """
    source = where.config_file(config, environ)
    if not source.exists() and (config or environ.get(where.CONFIG_VARIABLE)):
        raise ConfigError(
            f"There is no configuration {source}; correct its name, "
            "or make it with `cognitofs configure`."
        )
    chosen = profile or environ.get(PROFILE_VARIABLE)
    name = check_profile_name(chosen or DEFAULT_PROFILE)
    table = _table(read_profiles(source), name, source, is_named=bool(chosen))
    written = _read_keys(table, f"{source} [profiles.{name}]")
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    own = written | _from_environment(environ) | _read_keys(given, "the command line")
    merged = _from_other_tools(environ, own) | own
    return Settings(_profile(name, merged), _options(merged), source)


def changed_settings(source: Path, name: str, changes: Mapping[str, str]) -> Settings:
    """Return what the file *source* would say of profile *name* after *changes* (flat keys).

    "" stands for a key that is removed. Flags and environment have no say. Raises ConfigError.
    """
    written = _read_keys(read_profiles(source).get(name, {}), f"{source} [profiles.{name}]")
    kept = {key: value for key, value in written.items() if key not in changes}
    given = _read_keys({key: value for key, value in changes.items() if value}, "the changes")
    for key in changes:
        _check_known(key, "the changes")
    return Settings(_profile(name, kept | given), _options(kept | given), source)


def _table(tables: Mapping[str, Table], name: str, source: Path, *, is_named: bool) -> Table:
    if name not in tables and is_named:
        known = f"it has {', '.join(sorted(tables))}" if tables else "it has none yet"
        raise ConfigError(
            f"There is no profile {name!r} in {source} ({known}); "
            f"make it with `cognitofs configure --profile {name}`."
        )
    return tables.get(name, {})


def _read_keys(table: Table, place: str) -> dict[str, Any]:
    """Return *table* with flat keys and values read; *place* says where it stands.

    Raises ConfigError for an unknown key or a value that cannot be read.
    """
    return {key: _read(key, value, place) for key, value in _flat(table, place)}


def _flat(table: Table, place: str) -> Iterable[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict) and key == "endpoints":
            yield from ((f"endpoints.{inner}", leaf) for inner, leaf in value.items())
        elif isinstance(value, dict):
            raise ConfigError(f"`{key}` in {place} must be a value, not a table; correct it.")
        else:
            yield key, value


def _read(key: str, value: object, place: str) -> object:
    _check_known(key, place)
    reading: quantities.Reading = (_READINGS | _PROFILE_READINGS).get(key, quantities.text)
    try:
        return reading(value)
    except ValueError as exc:
        raise ConfigError(f"`{key}` in {place} must be {exc}.") from exc


def _check_known(key: str, place: str) -> None:
    if key not in _KEYS:
        raise ConfigError(f"Unknown option `{key}` in {place}; {_nearest(key)}")


def _nearest(key: str) -> str:
    wanted = key.replace("-", "_").lower()
    near = difflib.get_close_matches(wanted, _KEYS, n=1, cutoff=0.5)
    return f"did you mean `{near[0]}`?" if near else f"the options are {', '.join(sorted(_KEYS))}."


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for key in _KEYS:
        variable = f"COGNITOFS_{key.replace('.', '_').upper()}"
        if variable not in environ:
            continue
        if key in SECRETS:
            raise ConfigError(
                f"{variable} would put a secret into the environment; unset it and write "
                f"`{key}` into the configuration with `cognitofs configure`."
            )
        found[key] = _read(key, environ[variable], f"the environment ({variable})")
    return found


def _from_other_tools(environ: Mapping[str, str], own: Mapping[str, Any]) -> dict[str, str]:
    """Return what the variables of aws-cognito-auth and AWS's tools add to *own*.

    The pools come together or not at all: ids of two applications must not mix. A region that a
    pool's id names is not asked for.
    """
    pools = ("user_pool_id", "client_id", "identity_pool_id")
    found = {}
    if not any(own.get(key) for key in (*pools, "credential_process")):
        said = {key: environ.get(f"COGNITO_{key.upper()}", "") for key in pools}
        found = {key: value for key, value in said.items() if value}
    names_region = ("user_pool_id", "identity_pool_id", "region")
    if environ.get("AWS_REGION") and not any((found | dict(own)).get(key) for key in names_region):
        found["region"] = environ["AWS_REGION"]
    return found


def _profile(name: str, merged: Mapping[str, Any]) -> Profile:
    own = {key: merged[key] for key in _PROFILE if key in merged}
    urls = {name: merged[key] for key, name in _ENDPOINTS.items() if key in merged}
    return Profile(name=name, endpoints=Endpoints(**urls), **own)


def _options(merged: Mapping[str, Any]) -> MountOptions:
    return MountOptions(**{key: merged[key] for key in _READINGS if key in merged})
