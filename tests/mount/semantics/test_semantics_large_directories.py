"""A directory of 5,000 entries on a real mount: listed in a stream, steady while names come and go.

Over the strict server: SeaweedFS shows directories that are gone.
"""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import trio

from cognitofs.parallel import run_all
from cognitofs.store.interface import ObjectHeaders
from cognitofs.store.keys import Keys
from cognitofs.store.s3 import S3Config, S3Store
from tests.mount.conftest import Bucket, new_bucket
from tests.mount.gate import Gate, Request, gate
from tests.mount.mounted import ROOT, Machine
from tests.mount.semantics.getdents import getdents, stream
from tests.mount.semantics.scene import marks

pytestmark = marks("large")

ENTRIES = 5000
LARGE = [f"f{number:05}" for number in range(ENTRIES)]
TREE = [f"{number % 30:02}/f{number:04}" for number in range(3000)]


@dataclass(frozen=True)
class Seeded:
    """A mount of a bucket that another client has filled, and the gate it goes through."""

    top: Path
    bucket: Bucket
    gate: Gate


class _Keys:
    def __init__(self, bucket: Bucket) -> None:
        self._keys = Keys(bucket.server.access_key, bucket.server.secret_key)

    def current(self) -> Keys:
        return self._keys

    def invalidate(self, access_key: str) -> None:
        raise AssertionError(access_key)


def fill(bucket: Bucket, paths: list[str]) -> None:
    """Put an object of one byte, which might be a symlink, or of 5,000, which cannot, per path."""
    server = bucket.server
    config = S3Config(bucket.name, server.region, ROOT, server.endpoint)

    async def put_all() -> None:
        store = S3Store(config, _Keys(bucket))
        headers = ObjectHeaders()
        puts = (
            partial(store.put, path, b"x" * (1 if n % 2 else 5000), headers, expect="absent")
            for n, path in enumerate(paths)
        )
        await run_all(puts, limit=8)
        store.close()

    trio.run(put_all)


@pytest.fixture(scope="module")
def seeded(strict_s3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    bucket = new_bucket(strict_s3)
    fill(bucket, [f"large/{name}" for name in LARGE])
    try:
        with gate(strict_s3.endpoint) as relay:
            machine.configure(strict_s3, bucket.name, endpoint=relay.endpoint)
            with machine.mounted("--sync", "fsync") as mount:
                yield Seeded(mount.path, bucket, relay)
    finally:
        machine.close()


def _continues(request: Request) -> bool:
    return request.what == "List" and "start-after" in request.query


def test_the_first_names_come_before_the_listing_has_ended(seeded):
    seeded.gate.hold(_continues)
    try:
        with os.scandir(seeded.top / "large") as entries:
            first = [next(entries).name for _ in range(20)]
    finally:
        seeded.gate.release()
    assert first == LARGE[:20]


def test_all_names_are_listed_once_and_without_a_look_at_each(seeded):
    seeded.gate.forget()
    assert sorted(os.listdir(seeded.top / "large")) == LARGE
    assert len(seeded.gate.requests("List")) <= ENTRIES // 1000 + 1


def test_telldir_and_seekdir_come_back_to_the_same_names(seeded):
    with stream(seeded.top / "large") as names:
        places, found = [], []
        while (place := names.tell(), name := names.read())[1] is not None:
            places.append(place)
            found.append(name)
        assert found == LARGE
        for at in (0, 17, 999, 1000, 1001, 4999, 2500, 3):
            names.seek(places[at])
            assert [names.read(), names.read()] == [*LARGE, None, None][at : at + 2]
        names.rewind()
        assert names.rest() == LARGE


def test_what_stays_is_listed_once_while_names_come_and_go(seeded):
    """Here and by another client, before and behind the place where the reader is."""
    top, goes = seeded.top / "large", set(LARGE[5::50])
    names, removed = [], sorted(goes)
    with os.scandir(top) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) % 100 == 0 and removed:
                here, there = removed.pop(0), removed.pop()
                os.unlink(top / here)
                seeded.bucket.client.delete_object(
                    Bucket=seeded.bucket.name, Key=f"{ROOT}large/{there}"
                )
                (top / f"a{len(names):05}").write_bytes(b"new, before")
                (top / f"f{len(names):05}-new").write_bytes(b"new, near")
                seeded.bucket.put(f"large/z{len(names):05}", b"new, behind")
    assert len(names) == len(set(names))
    assert set(LARGE) - goes <= set(names)
    for name in set(os.listdir(top)) - set(LARGE):
        os.unlink(top / name)


@pytest.mark.parametrize("size", [1000, 33_000])
def test_a_program_that_removes_what_it_reads_gets_to_the_end(seeded, size):
    """Whatever its buffer: the kernel drops what does not fit, and asks again from there."""
    directory = seeded.top / f"removed-{size}"
    fill(seeded.bucket, [f"{directory.name}/{name}" for name in LARGE[:1100]])
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    gone = []
    try:
        while names := getdents(fd, size):
            for name in filter(None, names):
                os.unlink(name, dir_fd=fd)
                gone.append(name)
    finally:
        os.close(fd)
    assert gone == LARGE[:1100]
    os.rmdir(directory)


@pytest.mark.reliability
def test_find_delete_empties_a_tree_of_3000(seeded):
    fill(seeded.bucket, [f"tree/{path}" for path in TREE])
    subprocess.run(["find", seeded.top / "tree", "-delete"], check=True, timeout=60)
    assert "tree" not in os.listdir(seeded.top)
    _sync(seeded.top)
    assert not [path for path in seeded.bucket.paths(markers=True) if path.startswith("tree/")]


@pytest.mark.reliability
def test_rm_r_removes_what_is_left(seeded):
    subprocess.run(["rm", "-r", seeded.top / "large"], check=True, timeout=60)
    _sync(seeded.top)
    assert not [path for path in seeded.bucket.paths(markers=True) if path.startswith("large/")]


def _sync(directory: Path) -> None:
    """Wait for S3: in this level the marker of a removed directory goes a moment after rmdir."""
    subprocess.run(["sync", directory], check=True, timeout=60)
