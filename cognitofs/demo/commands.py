"""Runs the real `cognitofs` as the demo's user, as a person would: through its command line.

Owns the calls and what is read from their `--json` answers. Imports nothing of what it runs.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cognitofs.demo.cloud import PASSWORD, USER
from cognitofs.demo.place import Place
from cognitofs.errors import MountError, SignInError
from cognitofs.mounttable import mount_at

_DEADLINE = 300.0  # seconds for one command; none of them takes 10 when all is well
_END_DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Mount:
    """One running mount of the demo, as `cognitofs status --json` tells of it."""

    mountpoint: Path
    pid: int
    bucket: str
    prefix: str

    @property
    def s3_uri(self) -> str:
        """Where the objects are."""
        return f"s3://{self.bucket}/{self.prefix}"


def sign_in(place: Place) -> None:
    """Sign in as the demo's user, unless that is done already. Raises SignInError.

    A sign-in is kept while it lasts: moto gives every new one another identity, hence another
    prefix, and the files would seem to be gone.
    """
    if _ask(place, "whoami", "--json").returncode == 0:
        return
    command = _command(place, "login", "--username", USER, "--password-stdin")
    password = f"{PASSWORD}\n".encode()
    if subprocess.run(command, input=password, check=False, timeout=_DEADLINE).returncode != 0:
        raise SignInError("`cognitofs login` did not work; what it said above tells what to do.")


def mount(place: Place, mountpoint: Path) -> Mount:
    """Mount on *mountpoint* and return what is mounted. Raises MountError."""
    if not _succeeds(place, "mount", os.fspath(mountpoint)):
        raise MountError("`cognitofs mount` did not work; what it said above tells what to do.")
    for each in mounts(place):
        if each.mountpoint == mountpoint:
            return each
    raise MountError(f"{mountpoint} is mounted, but `{place.command} status` does not list it.")


def umount(place: Place, mountpoint: Path) -> None:
    """Upload what is left, unmount, wait for the daemon. Raises MountError."""
    if not _succeeds(place, "umount", os.fspath(mountpoint)):
        raise MountError(f"{mountpoint} is still mounted; close what uses it, then run this again.")


def mounts(place: Place) -> tuple[Mount, ...]:
    """Return the running mounts of the demo. Raises MountError."""
    try:
        answer = json.loads(_ask(place, "status", "--json").stdout)
    except ValueError as exc:
        raise MountError(f"`{place.command} status` gave no answer; run it to see why.") from exc
    return tuple(_mount(told) for told in answer["mounts"] if told["mounted"])


def give_up(place: Place) -> None:
    """End the mounts of a cloud that has ended: nothing can be uploaded any more."""
    for left in mounts(place):
        leave(left.mountpoint, "-z")
        with suppress(ProcessLookupError):
            os.kill(left.pid, signal.SIGTERM)
            if not wait_ended(left.pid, _END_DEADLINE):
                os.kill(left.pid, signal.SIGKILL)


def leave(mountpoint: Path, *flags: str) -> None:
    """Take the mount away as a person does, whether its daemon lives or not. Raises MountError."""
    if mount_at(mountpoint) is None:
        return
    command = ["fusermount3", "-u", *flags, os.fspath(mountpoint)]
    if subprocess.run(command, check=False, timeout=_DEADLINE).returncode != 0:
        raise MountError(f"{mountpoint} is in use; close what uses it, then run this again.")


def wait_ended(pid: int, deadline: float) -> bool:
    """Wait until process *pid* is gone; tell whether it went within *deadline* seconds."""
    end = time.monotonic() + deadline
    while _is_alive(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _is_alive(pid: int) -> bool:
    """Tell whether a process still does anything; nobody may ever collect a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _mount(told: Mapping[str, object]) -> Mount:
    bucket, _, prefix = str(told["s3_uri"]).removeprefix("s3://").partition("/")
    return Mount(Path(str(told["mountpoint"])), int(str(told["pid"])), bucket, prefix)


def _succeeds(place: Place, *arguments: str) -> bool:
    """Run a command that speaks to the person itself."""
    command = _command(place, *arguments)
    return subprocess.run(command, check=False, timeout=_DEADLINE).returncode == 0


def _ask(place: Place, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a command for its answer; what it says to a person is not shown."""
    command = _command(place, *arguments)
    return subprocess.run(command, capture_output=True, check=False, timeout=_DEADLINE)


def _command(place: Place, *arguments: str) -> list[str]:
    return [os.fspath(place.command), *arguments]
