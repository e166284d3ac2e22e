"""What the demo does, step by step, and what it says.

Owns the order of the steps and every sentence. The cloud is `cloud.py`, the commands `commands.py`.
"""

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cognitofs.demo import cloud, commands
from cognitofs.demo.place import Account, Place
from cognitofs.errors import Corrupted, MountError, MountpointBusy, MountpointUnusable
from cognitofs.mounttable import mount_at

_DRAIN_DEADLINE = 30.0  # seconds; the cloud is on this machine
_FIRST_FILE = "hello.txt"
_FIRST_TEXT = b"This file is an object in S3. Change it, or add more beside it.\n"


def say(sentence: str = "") -> None:
    """Tell the person what happens."""
    print(sentence, flush=True)


def start(place: Place, mountpoint: Path) -> None:
    """Bring the demo up on *mountpoint*: cloud, sign-in, mount, one file there and back.

    What runs already is used as it is; what an earlier run left broken is mended.
    """
    check_machine()
    place.make()
    with only_one(place):
        account = ensure_cloud(place)
        say(f"Signing in as {account.user} (cognitofs login) ...")
        commands.sign_in(place)
        mounted = ensure_mounted(place, mountpoint)
        write_first_file(account, mounted)
        say(_what_now(place, account, mounted))


def stop(place: Place) -> None:
    """Unmount the demo, end its cloud and remove all it kept."""
    if not place.base.exists():
        say("The demo is not there; ./scripts/demo starts it.")
        return
    with only_one(place):
        end_mounts(place)
        cloud.stop(place)
        place.remove()
    say("The demo has ended; its cloud and all files in it are gone.")


def objects(place: Place) -> None:
    """List the objects of the demo's bucket with plain boto3, without cognitofs."""
    account = cloud.running(place)
    if account is None:
        raise MountError("The demo does not run; start it with ./scripts/demo.")
    for key, size in list_objects(account, ""):
        say(f"{size:>12}  s3://{account.bucket}/{key}")


def check_machine() -> None:
    """Raise MountError unless this machine lets a person mount."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise MountError(
            "/dev/fuse cannot be opened here, so nothing can be mounted; load the fuse module, "
            "or start the container with --device /dev/fuse --cap-add SYS_ADMIN."
        )


@contextmanager
def only_one(place: Place) -> Iterator[None]:
    """Keep another run of the demo from changing the same place meanwhile."""
    with (place.base / "demo.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise MountpointBusy("Another scripts/demo is at work; wait until it ends.") from exc
        yield


def ensure_cloud(place: Place) -> Account:
    """Return the running cloud, or a new one in a place cleared of what the last one left."""
    account = cloud.running(place)
    if account is not None:
        say(f"The demo's cloud runs already, at {account.endpoint}.")
        return account
    if place.config.exists():
        say("The cloud of an earlier run has ended, and its files with it; clearing up after it.")
        commands.give_up(place)
        _leave_recorded(place, "-z")
        place.clear()
    say("Starting the demo's cloud (moto) on 127.0.0.1 ...")
    return cloud.start(place)


def ensure_mounted(place: Place, mountpoint: Path) -> commands.Mount:
    """Return the demo's mount on *mountpoint*, made now if it is not there.

    Raises MountpointBusy when the demo is mounted elsewhere.
    """
    for mounted in commands.mounts(place):
        if mount_at(mounted.mountpoint) is None:
            commands.wait_ended(mounted.pid, _DRAIN_DEADLINE)  # left already, still uploading
        elif mounted.mountpoint == mountpoint:
            say(f"{mountpoint} is mounted already.")
            return mounted
        else:
            raise MountpointBusy(
                f"The demo is mounted on {mounted.mountpoint}; use it there, "
                "or end it with ./scripts/demo --stop and start it anew."
            )
    say(f"Mounting on {mountpoint} (cognitofs mount) ...")
    place.remember(mountpoint)
    if mount_at(mountpoint) is None:  # a dead mount cannot be asked; `cognitofs mount` mends it
        _make_directory(mountpoint)
    return commands.mount(place, mountpoint)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise MountpointUnusable(
            f"{path} cannot be made a directory ({exc.strerror}); name another one."
        ) from exc


def end_mounts(place: Place) -> None:
    """Unmount whatever the demo mounted; with its cloud alive everything is uploaded first."""
    if not place.command.exists() or not place.config.exists():
        return
    if cloud.running(place) is None:
        commands.give_up(place)
    else:
        for mounted in commands.mounts(place):
            commands.umount(place, mounted.mountpoint)
    _leave_recorded(place)


def _leave_recorded(place: Place, *flags: str) -> None:
    mountpoint = place.last_mountpoint()
    if mountpoint is not None:
        commands.leave(mountpoint, *flags)


def write_first_file(account: Account, mounted: commands.Mount) -> None:
    """Write a file in the mount and fetch it as an object. Raises Corrupted if they differ."""
    (mounted.mountpoint / _FIRST_FILE).write_bytes(_FIRST_TEXT)
    if fetch(account, mounted.prefix + _FIRST_FILE) != _FIRST_TEXT:
        raise Corrupted(f"{mounted.s3_uri}{_FIRST_FILE} is not what was written; please report it.")
    say(f"Wrote {mounted.mountpoint / _FIRST_FILE} and read it back from S3.")


def fetch(account: Account, key: str) -> bytes:
    """Return an object's bytes, fetched with plain boto3."""
    body = cloud.client("s3", account.endpoint).get_object(Bucket=account.bucket, Key=key)["Body"]
    content: bytes = body.read()
    return content


def list_objects(account: Account, prefix: str) -> list[tuple[str, int]]:
    """Return keys and sizes below *prefix*, listed with plain boto3."""
    pages = cloud.client("s3", account.endpoint).get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=account.bucket, Prefix=prefix)
    return [(o["Key"], o["Size"]) for page in found for o in page.get("Contents", ())]


def _what_now(place: Place, account: Account, mounted: commands.Mount) -> str:
    """Return the closing words: what one can do, as whom, where, and how to leave."""
    command, target = (shlex.quote(os.fspath(p)) for p in (place.command, mounted.mountpoint))
    query = f"{account.endpoint}/{account.bucket}?list-type=2&prefix={mounted.prefix}"
    return f"""
{mounted.mountpoint} is a directory in S3 now. Use it with any program:

    cp -r /usr/share/doc/bash {target}/ && ls -lR {target}

You are signed in as    {account.user} (password {cloud.PASSWORD})
Your objects are in     {mounted.s3_uri}
See them without it:    ./scripts/demo --objects
                        curl -s {shlex.quote(query)}
More commands:          {command} status        (whoami, sync, umount, --help)
Leave the directory:    fusermount3 -u {target}
End the demo:           ./scripts/demo --stop

What the demo leaves out: this cloud (moto, {account.endpoint}) lives in the memory of one process
on this machine, so its files are gone when it ends. It checks neither passwords nor policies: a
real user pool refuses a wrong password, and a real role keeps each user to the own prefix.
"""
