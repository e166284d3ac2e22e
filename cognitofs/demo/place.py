"""Where the demo keeps its things, apart from the person's own cognitofs.

Owns the demo's directories and the wrapper script that runs `cognitofs` with them. Starts nothing.

INVARIANT: nothing of the demo reads or writes the person's configuration, state or cache, whatever
variables are set: the wrapper replaces them all.
"""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

_NAME = "cognitofs-demo"
_DIRECTORIES = ("state", "cache", "run")


@dataclass(frozen=True, slots=True)
class Account:
    """The embedded cloud and what is in it: a user of a user pool, an identity pool, a bucket."""

    pid: int
    endpoint: str
    region: str
    user_pool_id: str
    client_id: str
    identity_pool_id: str
    bucket: str
    user: str


@dataclass(frozen=True, slots=True)
class Place:
    """The directories of one demo, all below `base`."""

    base: Path

    @property
    def record(self) -> Path:
        """The file that tells of a running cloud."""
        return self.base / "cloud.json"

    @property
    def lock(self) -> Path:
        """The file that the cloud's process keeps locked while it lives."""
        return self.base / "cloud.lock"

    @property
    def log(self) -> Path:
        """What the cloud's process writes to standard error."""
        return self.base / "cloud.log"

    @property
    def config(self) -> Path:
        """The demo's cognitofs configuration."""
        return self.base / "config.toml"

    @property
    def mountpoint(self) -> Path:
        """A symbolic link to the directory that the demo was last mounted on."""
        return self.base / "mountpoint"

    @property
    def command(self) -> Path:
        """The script that runs `cognitofs` as the demo's user."""
        return self.base / "cognitofs"

    def make(self) -> None:
        """Make the directories, for this user alone, and the wrapper script."""
        for directory in (self.base, *(self.base / name for name in _DIRECTORIES)):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.command.write_text(_wrapper(self.base, self.config))
        self.command.chmod(0o700)

    def clear(self) -> None:
        """Remove what an earlier cloud's account left: its record, configuration, sign-in."""
        for path in (self.record, self.config):
            path.unlink(missing_ok=True)
        for name in _DIRECTORIES:
            shutil.rmtree(self.base / name, ignore_errors=True)
        self.make()

    def remove(self) -> None:
        """Remove everything, the base directory included."""
        shutil.rmtree(self.base)

    def remember(self, mountpoint: Path) -> None:
        """Note where the demo is about to be mounted, for a run that finds it dead."""
        self.mountpoint.unlink(missing_ok=True)
        self.mountpoint.symlink_to(mountpoint)

    def last_mountpoint(self) -> Path | None:
        """Return the directory that the demo was last mounted on, or None."""
        return self.mountpoint.readlink() if self.mountpoint.is_symlink() else None

    def write_account(self, account: Account) -> None:
        """Write the configuration for *account*, then the record that says it is ready."""
        self.config.write_text(_profile(account))
        half = self.record.with_suffix(".new")
        half.write_text(json.dumps(asdict(account)))
        half.replace(self.record)

    def read_account(self) -> Account | None:
        """Return the account of the last cloud that was ready, or None."""
        try:
            return Account(**json.loads(self.record.read_text()))
        except FileNotFoundError:
            return None


def usual_place() -> Place:
    """Return where the demo lives: `cognitofs-demo` in the person's XDG state directory."""
    return Place(platformdirs.user_state_path(_NAME))


def console_script() -> Path:
    """Return the installed `cognitofs` beside the Python that runs us."""
    return Path(sys.executable).with_name("cognitofs")


def without_foreign_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without what could send the demo to a real account or through a proxy."""
    kept = {k: v for k, v in environ.items() if not k.startswith(("AWS_", "COGNITOFS_"))}
    return kept | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _profile(account: Account) -> str:
    keys = ("region", "user_pool_id", "client_id", "identity_pool_id", "bucket")
    lines = [f"{key} = {json.dumps(getattr(account, key))}" for key in keys]
    lines.append(f"endpoint_url = {json.dumps(account.endpoint)}")
    return "\n".join(
        ("# Written by scripts/demo for its own cloud.", "[profiles.default]", *lines, "")
    )


def _wrapper(base: Path, config: Path) -> str:
    """Return a shell script that runs the console script with the demo's own directories."""
    quoted = {name: shlex.quote(os.fspath(base / name)) for name in _DIRECTORIES}
    return f"""#!/bin/sh
# Runs cognitofs as the user of the demo's cloud, apart from your own configuration and state.
for name in $(env | sed -n 's/^\\(AWS_[A-Z0-9_]*\\|COGNITOFS_[A-Z0-9_]*\\)=.*/\\1/p'); do
  unset "$name"
done
export COGNITOFS_CONFIG={shlex.quote(os.fspath(config))}
export XDG_STATE_HOME={quoted["state"]} XDG_CACHE_HOME={quoted["cache"]}
export XDG_RUNTIME_DIR={quoted["run"]}
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
exec {shlex.quote(os.fspath(console_script()))} "$@"
"""
