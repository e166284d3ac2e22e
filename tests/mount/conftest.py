"""What the tests on real mounts share: a machine of the test's own, and a bucket to mount."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.mount.gate import Gate, gate
from tests.mount.mounted import MIB, ROOT, Machine
from tests.servers import S3Server


@dataclass(frozen=True)
class Bucket:
    """A bucket, and an independent client that looks at what was mounted."""

    server: S3Server
    name: str
    client: Any
    root: str = ROOT

    def get(self, path: str) -> bytes:
        """Return the bytes of the object that *path* in the mount stands for."""
        body: bytes = self.client.get_object(Bucket=self.name, Key=self.root + path)["Body"].read()
        return body

    def head(self, path: str) -> dict:
        """Return what HEAD says of it."""
        found: dict = self.client.head_object(Bucket=self.name, Key=self.root + path)
        return found

    def put(self, path: str, body: bytes) -> None:
        """Put an object behind the mount's back."""
        self.client.put_object(Bucket=self.name, Key=self.root + path, Body=body)

    def remove(self, below: str) -> None:
        """Remove every object whose path begins with *below*, behind the mount's back."""
        for path in self.paths(markers=True):
            if path.startswith(below):
                self.client.delete_object(Bucket=self.name, Key=self.root + path)

    def paths(self, *, markers: bool = False) -> set[str]:
        """Return what lies below the root; markers of directories end in a slash."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=self.root
        )
        keys = (each["Key"] for page in pages for each in page.get("Contents", ()))
        return {key.removeprefix(self.root) for key in keys if markers or key[-1] != "/"}

    def sum(self, path: str) -> str:
        """Return the SHA-256 of an object of any size."""
        answer = self.client.get_object(Bucket=self.name, Key=self.root + path)
        found = hashlib.sha256()
        for chunk in answer["Body"].iter_chunks(MIB):
            found.update(chunk)
        return found.hexdigest()

    def drop(self) -> None:
        """Delete it with all that it holds, where the server can do that."""
        if self.server.name == "seaweedfs":
            self.client.delete_bucket(Bucket=self.name)

    def sums(self, below: str = "") -> dict[str, str]:
        """Return the SHA-256 of every object below *below*, markers left out."""
        found = (path for path in self.paths() if path.startswith(below))
        return {path[len(below) :]: self.sum(path) for path in found}


def new_bucket(server: S3Server) -> Bucket:
    """Return a bucket never used before."""
    return Bucket(server, server.make_bucket(), server.client())


@pytest.fixture
def buckets() -> Iterator[list[Bucket]]:
    """Collect the buckets of this test alone; they go after its machine, and free their disk."""
    made: list[Bucket] = []
    yield made
    for bucket in made:
        bucket.drop()


@pytest.fixture
def machine(tmp_path: Path, buckets: list[Bucket]) -> Iterator[Machine]:
    """Give the test a machine; whatever it mounted is gone afterwards."""
    running = Machine(tmp_path)
    yield running
    running.close()


@pytest.fixture
def weed(seaweedfs: S3Server, machine: Machine, buckets: list[Bucket]) -> Bucket:
    """Return a bucket of SeaweedFS that the machine's profile names."""
    bucket = new_bucket(seaweedfs)
    buckets.append(bucket)
    machine.configure(seaweedfs, bucket.name)
    return bucket


@pytest.fixture(params=[pytest.param("moto", marks=pytest.mark.reliability), "seaweedfs"])
def bucket(request: pytest.FixtureRequest, machine: Machine, buckets: list[Bucket]) -> Bucket:
    """Return a bucket of each server that the machine's profile names."""
    names = {"moto": "moto_server", "seaweedfs": "seaweedfs"}
    bucket = new_bucket(request.getfixturevalue(names[request.param]))
    buckets.append(bucket)
    machine.configure(bucket.server, bucket.name)
    return bucket


@pytest.fixture
def weed_gate(seaweedfs: S3Server) -> Iterator[Gate]:
    """Return a gate before SeaweedFS."""
    with gate(seaweedfs.endpoint) as running:
        yield running


@pytest.fixture
def gated(seaweedfs: S3Server, machine: Machine, weed_gate: Gate, buckets: list[Bucket]) -> Bucket:
    """Return a bucket of SeaweedFS that the machine's profile reaches through `weed_gate` only."""
    bucket = new_bucket(seaweedfs)
    buckets.append(bucket)
    machine.configure(seaweedfs, bucket.name, endpoint=weed_gate.endpoint)
    return bucket
