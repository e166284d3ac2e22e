"""What was read or written through a mount is read by the next one without asking for it."""

import hashlib
import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.mount.mounted import MIB, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

SIZE = 32 * MIB


def sums(mount):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in mount.path.iterdir()
        if path.is_file()
    }


def saved(machine, place):
    """Return the bytes of which the next process would know."""
    for path in (machine.home / ".cache/cognitofs").glob("*/blocks.db*"):
        shutil.copy(path, place)
    with closing(sqlite3.connect(place / "blocks.db")) as database:
        return database.execute("SELECT sum(held) FROM entry").fetchone()[0]


def test_what_was_read_and_written_is_kept_for_the_next_mount(machine, gated, weed_gate):
    gated.put("read", noise(SIZE))
    gated.put("small", b"small")
    with machine.mounted() as mount:
        (mount.path / "written").write_bytes(noise(SIZE, 2))
        before = sums(mount)
        assert len(weed_gate.requests("GetObject")) > 1
    weed_gate.forget()
    with machine.mounted() as mount:
        assert sums(mount) == before
        status = mount.status()
        assert status["cache_misses"] == 0
        assert 2 * SIZE < status["cache_bytes"] <= 2 * SIZE + MIB
    assert weed_gate.requests("GetObject") == []


def test_a_killed_mount_keeps_it_too_and_changes_from_elsewhere_are_seen(
    machine, gated, weed_gate, tmp_path
):
    gated.put("same", noise(SIZE))
    gated.put("changed", noise(SIZE, 2))
    mount = machine.mount()
    sums(mount)
    taken = mount.status()["cache_bytes"]
    until(lambda: saved(machine, tmp_path) == taken, "an index of everything")
    mount.kill()
    gated.put("changed", noise(SIZE, 3))
    weed_gate.forget()
    with machine.mounted() as mount:
        found = sums(mount)
    wanted = {"same": noise(SIZE), "changed": noise(SIZE, 3)}
    assert found == {name: hashlib.sha256(data).hexdigest() for name, data in wanted.items()}
    assert {each.path.rpartition("/")[2] for each in weed_gate.requests("GetObject")} == {"changed"}
