"""The works that are timed: each by plain programs over the mount, and by the raw client.

Owns what a work is and when it is over (for writes: when the server shows the objects). Where a
source file or the objects come from is prepared before, and is not timed.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from tests.bench.mounted import ROOT, Mounted, mounted
from tests.servers import S3Server

_DEADLINE = 600.0
MIB = 1 << 20
_TREE_DIRECTORIES = 50
_LEAST_LOOKS = 1000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much each work moves."""

    big_mib: int = 1024
    small_files: int = 1000
    listed_objects: int = 5000


QUICK = Sizes(big_mib=64, small_files=100, listed_objects=500)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of one work: wall and CPU seconds, peak resident bytes of the client's process."""

    seconds: float
    cpu: float
    rss: int


class Ground:
    """A server with a bucket, a directory for sources, and what the works need in both."""

    def __init__(self, server: S3Server, directory: Path, sizes: Sizes) -> None:
        self.server = server
        self.sizes = sizes
        self.bucket = server.make_bucket()
        self.client = server.client()
        self._directory = directory
        self._runs = 0
        self.big = directory / "big"
        self.small = directory / "small"

    def prepare(self) -> None:
        """Make the source files, the object to read and the tree to list."""
        with self.big.open("wb") as file:
            for _ in range(self.sizes.big_mib):
                file.write(os.urandom(MIB))
        self.small.mkdir()
        for number in range(self.sizes.small_files):
            (self.small / f"f{number:05}").write_bytes(os.urandom(4096))
        files = self.sizes.listed_objects // _TREE_DIRECTORIES
        self.raw("upload", self.big, f"{ROOT}read/big")
        _raw_write(self)  # the first one pays for the server's memory and files
        self.raw("make_tree", f"{ROOT}tree/", _TREE_DIRECTORIES, files)

    def fresh_name(self) -> str:
        """Return a name never used before: no server forgets a directory entirely."""
        self._runs += 1
        return f"run{self._runs:04}"

    def fresh_directory(self) -> Path:
        """Return where nothing is yet."""
        return self._directory / self.fresh_name()

    def raw(self, operation: str, *arguments: object) -> Measured:
        """Run the raw client in a process of its own."""
        target = {
            "endpoint": self.server.endpoint,
            "bucket": self.bucket,
            "access_key": self.server.access_key,
            "secret_key": self.server.secret_key,
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.raw", operation, *map(str, arguments)],
            input=json.dumps(target),
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            timeout=_DEADLINE,
        )
        return Measured(**json.loads(done.stdout))

    def through_mount(self, work: Callable[[Mounted], None], *options: str) -> Measured:
        """Time *work* on a fresh mount, with the daemon's CPU time and memory."""
        directory = self.fresh_directory()
        with mounted(self.server, self.bucket, directory, *options) as mount:
            started, busy = time.perf_counter(), mount.cpu_seconds()
            work(mount)
            measured = Measured(
                time.perf_counter() - started, mount.cpu_seconds() - busy, mount.peak_rss()
            )
        shutil.rmtree(directory)  # the cache stays
        return measured

    def wait_size(self, key: str, size: int) -> None:
        """Wait until the server shows *key* with *size* bytes."""
        end = time.monotonic() + _DEADLINE
        while time.monotonic() < end:
            with suppress(ClientError):
                if self.client.head_object(Bucket=self.bucket, Key=key)["ContentLength"] == size:
                    return
            time.sleep(0.01)
        raise RuntimeError(f"{key} never appeared on the server.")

    def wait_count(self, prefix: str, count: int) -> None:
        """Wait until the server lists *count* objects below *prefix*, markers not counted."""
        end = time.monotonic() + _DEADLINE
        while time.monotonic() < end:
            if self._count(prefix) == count:
                return
            time.sleep(0.05)
        raise RuntimeError(f"{prefix} never held {count} objects.")

    def _count(self, prefix: str) -> int:
        pages = self.client.get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.bucket, Prefix=prefix)
        keys = (each["Key"] for page in found for each in page.get("Contents", ()))
        return sum(not key.endswith("/") for key in keys)


@dataclass(frozen=True, slots=True)
class Work:
    """One row of the table."""

    what: Callable[[Sizes], str]
    raw: Callable[[Ground], Measured]
    through_mount: Callable[[Ground], Measured]


def run(*command: object) -> None:
    """Run a program on the mount; its output is not what is measured."""
    subprocess.run(
        [str(word) for word in command], stdout=subprocess.DEVNULL, check=True, timeout=_DEADLINE
    )


def _raw_write(ground: Ground) -> Measured:
    key = f"{ROOT}write/{ground.fresh_name()}"
    measured = ground.raw("upload", ground.big, key)
    ground.client.delete_object(Bucket=ground.bucket, Key=key)
    return measured


def _mount_write(ground: Ground) -> Measured:
    name = ground.fresh_name()

    def work(mount: Mounted) -> None:
        run("dd", f"if={ground.big}", f"of={mount.path / name}", "bs=1M", "status=none")
        ground.wait_size(ROOT + name, ground.sizes.big_mib * MIB)

    measured = ground.through_mount(work)
    ground.client.delete_object(Bucket=ground.bucket, Key=ROOT + name)
    return measured


def _mount_read(ground: Ground) -> Measured:
    def work(mount: Mounted) -> None:
        run("dd", f"if={mount.path}/read/big", "of=/dev/null", "bs=1M", "status=none")

    return ground.through_mount(work)


def _mount_copy(ground: Ground) -> Measured:
    name = ground.fresh_name()

    def work(mount: Mounted) -> None:
        run("cp", "-r", ground.small, mount.path / name)
        ground.wait_count(f"{ROOT}{name}/", ground.sizes.small_files)

    return ground.through_mount(work)


def _mount_list(ground: Ground, *options: str) -> Measured:
    return ground.through_mount(lambda mount: run("ls", "-lR", mount.path / "tree"), *options)


def _waited(path: Path, is_over: Callable[[], bool]) -> float:
    """Return the 99th percentile of the seconds that fstat takes until it is over."""
    taken = []
    descriptor = os.open(path, os.O_RDONLY)
    try:
        while len(taken) < _LEAST_LOOKS or not is_over():
            started = time.perf_counter()
            os.fstat(descriptor)
            taken.append(time.perf_counter() - started)
            time.sleep(0.001)
    finally:
        os.close(descriptor)
    return statistics.quantiles(taken, n=100)[98]


def _look_at(ground: Ground, upload: Sequence[object]) -> Measured:
    """Time the answers to fstat, which the daemon gives each time, beside *upload*."""
    directory = ground.fresh_directory()
    with mounted(ground.server, ground.bucket, directory, "--metadata-ttl", "0") as mount:
        looked_at = mount.path / "read" / "big"
        command = [str(word).replace("{mount}", str(mount.path)) for word in upload]
        with subprocess.Popen(command) as busy:
            waited = _waited(looked_at, lambda: busy.poll() is not None)
        return Measured(waited, mount.cpu_seconds(), mount.peak_rss())


def _look_beside_nothing(ground: Ground) -> Measured:
    return _look_at(ground, ("true",))


def _look_beside_upload(ground: Ground) -> Measured:
    name = ground.fresh_name()
    command = ("dd", f"if={ground.big}", f"of={{mount}}/{name}", "bs=1M", "status=none")
    measured = _look_at(ground, command)
    ground.client.delete_object(Bucket=ground.bucket, Key=ROOT + name)
    return measured


WORKS: Mapping[str, Work] = {
    "write": Work(lambda s: f"write {s.big_mib} MiB (dd), until visible", _raw_write, _mount_write),
    "read": Work(
        lambda s: f"read {s.big_mib} MiB (dd), cold",
        lambda ground: ground.raw("download", f"{ROOT}read/big"),
        _mount_read,
    ),
    "copy": Work(
        lambda s: f"{s.small_files} files of 4 KiB (cp -r), until visible",
        lambda ground: ground.raw("put_many", ground.small, f"{ROOT}{ground.fresh_name()}/"),
        _mount_copy,
    ),
    "list": Work(
        lambda s: f"ls -lR of {s.listed_objects} objects, cold (raw: LIST and HEADs)",
        lambda ground: ground.raw("list_and_head", f"{ROOT}tree/"),
        _mount_list,
    ),
    "stat": Work(
        lambda s: f"p99 of fstat while {s.big_mib} MiB go up (raw: of a mount with nothing to do)",
        _look_beside_nothing,
        _look_beside_upload,
    ),
    "list-only": Work(
        lambda s: f"the same with --attributes=list (raw: LIST of {s.listed_objects})",
        lambda ground: ground.raw("list_all", f"{ROOT}tree/"),
        lambda ground: _mount_list(ground, "--attributes", "list"),
    ),
}
