"""Ways to leave a mount, and what each does with files that S3 does not have yet."""

import os
import signal
import subprocess
from contextlib import suppress

import pytest

from cognitofs.mounttable import mount_at
from tests.mount.gate import is_commit
from tests.mount.mounted import MIB, PATIENCE, assert_refused, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


FILES = {"a": noise(10), "b c": noise(100_000, 2), "big": noise(11 * MIB, 3)}


@pytest.fixture
def source(machine):
    directory = machine.directory / "source"
    directory.mkdir()
    for name, data in FILES.items():
        (directory / name).write_bytes(data)
    return directory


def cp(source, mount):
    subprocess.run(["cp", *source.iterdir(), mount.path], check=True, timeout=PATIENCE)


@pytest.mark.parametrize("level", ["close", "fsync"])
def test_fusermount_right_after_cp_leaves_every_file_on_s3(machine, bucket, source, level):
    mount = machine.mount("--sync", level, "--part-size", "5M")
    cp(source, mount)
    mount.leave()
    if level == "close":
        assert {name: bucket.get(name) for name in FILES} == FILES
    mount.wait_gone()
    assert {name: bucket.get(name) for name in FILES} == FILES
    assert machine.status() == []


def test_the_daemon_stays_as_long_as_it_sends_and_status_shows_it(
    machine, gated, weed_gate, source
):
    mount = machine.mount("--sync", "fsync")
    weed_gate.hold(is_commit)
    cp(source, mount)
    mount.leave()
    until(lambda: not mount.status()["mounted"], "status says that it is unmounted")
    status = mount.status()
    assert (status["pending_files"], status["failed_files"]) == (3, 0)
    assert status["state"] == "uploading"
    weed_gate.release()
    mount.wait_gone()
    assert {name: gated.get(name) for name in FILES} == FILES


def test_an_empty_file_that_was_only_closed_is_there_too(machine, bucket):
    """Its RELEASE may be lost when the mount goes right after it."""
    with machine.mounted() as mount:
        subprocess.run(["touch", mount.path / "empty"], check=True, timeout=PATIENCE)
        subprocess.run(["sh", "-c", f": > {mount.path}/redirected"], check=True, timeout=PATIENCE)
    assert bucket.paths() == {"empty", "redirected"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_unmounts_and_sends_what_was_closed(machine, gated, weed_gate, source, number):
    with machine.foreground("--sync", "fsync") as process:
        weed_gate.hold(is_commit)
        subprocess.run(["cp", *source.iterdir(), machine.cloud], check=True, timeout=PATIENCE)
        weed_gate.wait_held()
        process.send_signal(number)
        until(lambda: mount_at(machine.cloud) is None, "the unmount")
        weed_gate.release()
        assert process.wait(PATIENCE) == 0, machine.log()
    assert {name: gated.get(name) for name in FILES} == FILES


def test_a_signal_publishes_nothing_that_is_still_being_written(machine, weed):
    """And says by its exit code that something stayed here."""
    weed.put("f", b"old and whole")
    with machine.foreground() as process:
        descriptor = os.open(machine.cloud / "f", os.O_RDWR)
        os.write(descriptor, b"half")
        process.terminate()
        assert process.wait(PATIENCE) == 4
        with suppress(OSError):  # its file system is gone
            os.close(descriptor)
    assert weed.get("f") == b"old and whole"
    with machine.mounted() as mount:
        assert "never closed before the last mount ended" in mount.said
    assert [path.read_bytes() for path in machine.lost_found() if path.suffix != ".json"] == [
        b"half"
    ]


def test_a_dead_store_keeps_the_files_here_after_the_drain_timeout(
    machine, gated, weed_gate, source
):
    with machine.foreground("--sync", "fsync", "--drain-timeout", "1") as process:
        weed_gate.hold(is_commit)
        subprocess.run(["cp", *source.iterdir(), machine.cloud], check=True, timeout=PATIENCE)
        weed_gate.shut()
        process.terminate()
        assert process.wait(PATIENCE) == 4, machine.log()
    (left,) = machine.status()
    assert (left["state"], left["pending_files"]) == ("unmounted", 3)
    weed_gate.release()
    weed_gate.open()
    with machine.mounted():
        pass
    assert {name: gated.get(name) for name in FILES} == FILES


def test_a_silent_store_does_not_hold_up_the_end(machine, gated, weed_gate, source):
    """Requests under way are not waited for: they may take a minute to fail."""
    with machine.foreground("--sync", "fsync", "--drain-timeout", "1") as process:
        weed_gate.hold(is_commit)
        subprocess.run(["cp", *source.iterdir(), machine.cloud], check=True, timeout=PATIENCE)
        weed_gate.wait_held()
        process.terminate()
        assert process.wait(PATIENCE) == 4, machine.log()


def test_a_new_mount_takes_over_from_one_that_still_sends(machine, gated, weed_gate, source):
    first = machine.mount("--sync", "fsync")
    weed_gate.hold(is_commit)
    cp(source, first)
    first.leave()
    until(lambda: not first.status()["mounted"], "status says that it is unmounted")
    second = machine.mount("--sync", "fsync")
    assert first.is_gone()
    assert {name: (second.path / name).read_bytes() for name in FILES} == FILES
    weed_gate.release()
    second.leave()
    second.wait_gone()
    assert {name: gated.get(name) for name in FILES} == FILES


class TestUmount:
    """`cognitofs umount` waits, and says what it could not wait for."""

    def test_with_nothing_to_send_it_ends_the_daemon(self, machine, weed):
        mount = machine.mount()
        done = machine.run("umount", mount.path)
        assert (done.returncode, done.stderr) == (0, "")
        assert mount.is_gone()
        assert mount_at(mount.path) is None

    def test_it_sends_first_and_unmounts_then(self, machine, weed, source):
        mount = machine.mount("--sync", "fsync")
        cp(source, mount)
        done = machine.run("umount", mount.path)
        assert done.returncode == 0, done.stderr
        assert mount.is_gone()
        assert {name: weed.get(name) for name in FILES} == FILES

    def test_what_cannot_be_sent_in_time_is_said_and_goes_on(
        self, machine, gated, weed_gate, source
    ):
        mount = machine.mount("--sync", "fsync")
        weed_gate.hold(is_commit)
        cp(source, mount)
        done = machine.run("umount", "--timeout", "1", mount.path)
        assert done.returncode == 4
        assert f"process {mount.pid} goes on sending" in done.stderr
        assert "Traceback" not in done.stderr
        assert mount_at(mount.path) is None
        weed_gate.release()
        mount.wait_gone()
        assert {name: gated.get(name) for name in FILES} == FILES


class TestSync:
    """`cognitofs sync` returns when S3 has everything, or says that it has not."""

    def test_it_waits_for_what_was_closed(self, machine, weed, source):
        mount = machine.mount("--sync", "fsync")
        cp(source, mount)
        done = machine.run("sync", mount.path)
        assert done.returncode == 0, done.stderr
        assert {name: weed.get(name) for name in FILES} == FILES
        assert mount.status()["state"] == "clean"

    def test_it_says_what_is_not_sent_in_time(self, machine, gated, weed_gate, source):
        mount = machine.mount("--sync", "fsync")
        weed_gate.hold(is_commit)
        cp(source, mount)
        done = machine.run("sync", "--timeout", "1", mount.path)
        assert done.returncode == 4, done.stderr
        assert "Traceback" not in done.stderr
        weed_gate.release()


def test_leaving_a_directory_that_is_in_use_is_refused_with_its_user(machine, weed):
    mount = machine.mount()
    with subprocess.Popen(["sleep", "600"], cwd=mount.path) as sleeper:
        assert_refused(machine.run("umount", mount.path), 5, f"process {sleeper.pid}")
        sleeper.kill()


def test_an_unused_mount_leaves_by_itself_and_one_in_use_does_not(machine, weed):
    """Somebody who only stands in the directory has nothing open: the kernel tells."""
    mount = machine.mount("--idle-exit", "1")
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=mount.path) as standing:
        (mount.path / "f").write_bytes(b"bytes")
        until(lambda: "cannot be left" in machine.log(), "the kernel's refusal")
        assert mount_at(mount.path) is not None
        standing.communicate()
    mount.wait_gone()
    assert mount_at(mount.path) is None
    assert weed.get("f") == b"bytes"
