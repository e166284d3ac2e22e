"""One mount for each server and module of the semantics suite, and a tmpfs beside them.

A module's OPTIONS are those of its mounts.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mount.conftest import new_bucket
from tests.mount.mounted import Machine
from tests.mount.semantics.scene import Case, Place

FIXTURES = {"strict": "strict_s3", "seaweedfs": "seaweedfs"}
ON_SEAWEEDFS = pytest.param("seaweedfs", marks=pytest.mark.reliability)
"""The same cases again on a server that many use: with the heavier suites."""
TMPFS = "/dev/shm"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what Linux answers otherwise where Linux answers."""
    ours = [item for item in items if _is_ours_on_tmpfs(getattr(item, "callspec", None))]
    if ours:
        items[:] = [item for item in items if item not in ours]
        config.hook.pytest_deselected(items=ours)


def _is_ours_on_tmpfs(callspec: object) -> bool:
    parameters = getattr(callspec, "params", {})
    case = parameters.get("case")
    return isinstance(case, Case) and case.is_ours and parameters.get("anywhere") == "tmpfs"


def _mounted(request: pytest.FixtureRequest, name: str, directory: Path) -> Iterator[Place]:
    server = request.getfixturevalue(FIXTURES[name])
    machine = Machine(directory)
    try:
        bucket = new_bucket(server)
        machine.configure(server, bucket.name)
        with machine.mounted(*getattr(request.module, "OPTIONS", ())) as mount:
            yield Place(mount.path, bucket, mount)
        assert machine.lost_found() == []
    finally:
        machine.close()


@pytest.fixture(scope="module", params=["strict", ON_SEAWEEDFS])
def mounted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Return the top of a mount over each server."""
    yield from _mounted(request, request.param, tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module", params=["strict", ON_SEAWEEDFS, "tmpfs"])
def anywhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Return the top of a mount over each server, and a directory on a tmpfs."""
    if request.param != "tmpfs":
        yield from _mounted(request, request.param, tmp_path_factory.mktemp("machine"))
        return
    if not Path(TMPFS).is_dir():
        pytest.skip("there is no tmpfs")
    with ExitStack() as stack:
        yield Place(Path(stack.enter_context(tempfile.TemporaryDirectory(dir=TMPFS))))


@pytest.fixture
def place(anywhere: Place) -> Place:
    """Return a new directory, on each server and on a tmpfs."""
    return anywhere.fresh()


@pytest.fixture
def here(mounted: Place) -> Place:
    """Return a new directory in a mount, for what only a mount has."""
    return mounted.fresh()
