"""What every kind of test shares: the S3 servers, once per session, and repeatable properties."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests import servers

# The same cases every time, and no limit on how long one may take.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def moto_server() -> Iterator[servers.S3Server]:
    with servers.moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs() -> Iterator[servers.S3Server]:
    with servers.seaweedfs() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the proxies of whoever runs the tests out of them."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
