"""A copy of a spool file knows exactly what was copied, whatever is written meanwhile."""

import pytest
import trio

from cognitofs.spool.spooldirectory import SpoolDirectory
from cognitofs.spool.spoolfile import SpoolFile


@pytest.fixture
def directory(tmp_path):
    return SpoolDirectory(tmp_path)


def while_copying(monkeypatch, call, *arguments):
    """Let *call*, a coroutine function of the file, run after the bytes were copied."""
    copy_to = SpoolFile._copy_to

    def copying(self, twin, held):
        copy_to(self, twin, held)
        trio.from_thread.run(call, self, *arguments)

    monkeypatch.setattr(SpoolFile, "_copy_to", copying)


async def test_a_copy_has_no_sum_of_what_was_filled_in_while_it_was_made(directory, monkeypatch):
    spool = directory.create()
    await spool.write(0, b"a" * 100)
    while_copying(monkeypatch, SpoolFile.write, 4096, b"base")
    twin = await spool.clone()
    await twin.verify()
    assert not twin.damaged
    assert not twin.held.overlaps(4096, 4100)
    assert await twin.read(0, 100) == b"a" * 100


async def test_a_copy_can_be_written_after_a_sync_that_ended_while_it_was_made(
    directory, monkeypatch
):
    spool = directory.create()
    for at in range(0, 1000, 10):
        await spool.write(at, b"abc")
    while_copying(monkeypatch, SpoolFile.make_durable)
    twin = await spool.clone()
    await twin.write(5, b"d" * 500)
    await twin.make_durable()
    await twin.verify()
    assert not twin.damaged
