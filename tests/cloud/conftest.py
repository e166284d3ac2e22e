"""The emulated cloud, once per session; everything in this folder is marked `cloud`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud import emulator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cloud)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[emulator.Cloud]:
    """Cognito, IAM and S3 that refuse a wrong password and another user's prefix (proved)."""
    with emulator.run(tmp_path_factory.mktemp("ministack")) as running:
        yield running


@pytest.fixture
def app(cloud: emulator.Cloud) -> emulator.Application:
    """Build an application with the least role, of the test's own."""
    return cloud.new_application()
