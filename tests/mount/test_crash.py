"""kill -9 of the daemon: what was closed arrives by the next mount, what was not is kept aside."""

import os
from contextlib import suppress
from urllib.parse import parse_qs

import pytest

from cognitofs.quantities import about
from tests.mount.gate import is_commit
from tests.mount.mounted import MIB, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


def part_number(request) -> int:
    return int(parse_qs(request.query).get("partNumber", ["0"])[0])


def test_closed_files_that_s3_did_not_get_are_sent_by_the_next_mount(machine, gated, weed_gate):
    files = {"a": noise(10), "b": noise(100_000, 2), "big": noise(12 * MIB, 3), "empty": b""}
    mount = machine.mount("--sync", "fsync", "--part-size", "5M")
    weed_gate.hold(is_commit)
    for name, data in files.items():
        (mount.path / name).write_bytes(data)
    assert mount.status()["pending_files"] == len(files)
    weed_gate.wait_held()
    mount.kill()
    weed_gate.shut()  # what is on its way dies with its sender
    weed_gate.release()
    assert gated.paths() == set()
    (left,) = machine.status()
    assert (left["state"], left["mounted"]) == ("unmounted", False)
    weed_gate.open()

    mount = machine.mount()  # heals the dead mountpoint, too
    total = sum(map(len, files.values()))
    assert f"4 files ({about(total)}) of the last session are still being uploaded." in mount.said
    assert {name: (mount.path / name).read_bytes() for name in files} == files
    done = machine.run("sync", mount.path)
    assert done.returncode == 0, done.stderr
    assert {name: gated.get(name) for name in files} == files
    mount.leave()
    mount.wait_gone()


def test_a_multipart_upload_goes_on_where_it_was_killed(machine, gated, weed_gate):
    data = noise(40 * MIB)
    mount = machine.mount("--sync", "fsync", "--part-size", "5M")
    weed_gate.hold(lambda request: part_number(request) > 4)
    (mount.path / "big").write_bytes(data)
    weed_gate.wait_answered("UploadPart", 4)
    until(lambda: mount.status()["uploading_bytes"] == 20 * MIB, "four receipts")
    (mount.path / "after").write_bytes(b"x")  # the journal takes entries in order: these four too
    mount.kill()
    weed_gate.shut()
    weed_gate.release()
    weed_gate.forget()
    weed_gate.open()

    with machine.mounted("--part-size", "5M") as mount:
        done = machine.run("sync", mount.path)
        assert done.returncode == 0, done.stderr
    assert sorted(map(part_number, weed_gate.requests("UploadPart"))) == [5, 6, 7, 8]
    assert weed_gate.requests("Create") == []
    assert gated.get("big") == data


def test_what_was_never_closed_goes_to_lost_and_found_and_the_old_object_stays(
    machine, gated, weed_gate
):
    """Half a file never takes the place of a whole one, nor do streamed parts become an object."""
    gated.put("old", noise(3 * MIB))
    mount = machine.mount("--part-size", "5M")
    old = os.open(mount.path / "old", os.O_RDWR)
    os.pwrite(old, b"half a change", MIB)
    new = os.open(mount.path / "new", os.O_WRONLY | os.O_CREAT)
    os.write(new, noise(12 * MIB, 2))
    weed_gate.wait_answered("UploadPart", 2)
    mount.kill()
    for descriptor in (old, new):
        with suppress(OSError):  # its file system is gone
            os.close(descriptor)

    with machine.mounted() as mount:
        assert "2 files were never closed before the last mount ended" in mount.said
        assert (mount.path / "old").read_bytes() == noise(3 * MIB)
        assert [path.name for path in mount.path.iterdir()] == ["old"]
        weed_gate.wait_answered("Abort", 1)
    assert gated.get("old") == noise(3 * MIB)
    assert gated.paths() == {"old"}
    kept = [path.read_bytes() for path in machine.lost_found() if path.suffix != ".json"]
    assert any(noise(12 * MIB, 2) == data for data in kept)
    assert any(data[MIB : MIB + 13] == b"half a change" for data in kept)


def test_a_crash_in_the_middle_of_recovery_changes_nothing(machine, gated, weed_gate):
    mount = machine.mount("--sync", "fsync")
    weed_gate.hold(is_commit)
    (mount.path / "f").write_bytes(noise(1000))
    for _ in range(2):
        mount.kill()
        mount = machine.mount("--sync", "fsync")
        assert "1 file (1.0 kB) of the last session is still being uploaded." in mount.said
    weed_gate.release()
    mount.leave()
    mount.wait_gone()
    assert gated.get("f") == noise(1000)
    assert machine.status() == []
