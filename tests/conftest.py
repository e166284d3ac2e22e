"""Fixtures that every kind of test may use: the S3 servers, once per session."""

from collections.abc import Iterator

import pytest

from tests import servers


@pytest.fixture(scope="session")
def moto_server() -> Iterator[servers.S3Server]:
    with servers.moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[servers.S3Server]:
    with servers.seaweedfs() as server:
        yield server
