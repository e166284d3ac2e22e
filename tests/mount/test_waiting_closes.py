"""A program waits in close() for a store that does not answer, and the daemon ends meanwhile."""

import os
import signal
import subprocess
import sys
import textwrap
from contextlib import contextmanager

import pytest

from cognitofs.mounttable import mount_at
from cognitofs.quantities import about
from tests.mount.gate import is_commit
from tests.mount.mounted import PATIENCE, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

DATA = noise(100_000)
NEVER = 3600.0


@pytest.fixture
def patient(machine, gated, weed_gate):
    """Return a bucket behind a gate, of a profile whose close() gives up after an hour only."""
    machine.configure(gated.server, gated.name, endpoint=weed_gate.endpoint, stall_timeout=NEVER)
    return gated


@contextmanager
def closing(path, data=DATA):
    """Write *path* in a process that ends with the errno of its close(), or with 0."""
    script = """
        import os, sys
        descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
        os.write(descriptor, sys.stdin.buffer.read())
        try:
            os.close(descriptor)
        except OSError as exc:
            sys.exit(exc.errno)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), path]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.close()
    yield process
    process.wait(PATIENCE)  # not after a failure: what waits for a mount cannot even be killed


def end(process, machine):
    """Tell a mount in the foreground to end; return when it has heard it."""
    heard = machine.log().count("unmounting")
    process.terminate()
    until(lambda: machine.log().count("unmounting") > heard, "the daemon hears the signal")


def come_back(gate):
    """Let the store answer again; what was held has died with its sender."""
    gate.shut()
    gate.release()
    gate.open()


def check_next_mount_sends(machine, bucket, name="f", data=DATA):
    with machine.mounted() as mount:
        said = f"1 file ({about(len(data))}) of the last session is still being uploaded."
        assert said in mount.said
        assert (mount.path / name).read_bytes() == data
    assert bucket.get(name) == data
    assert machine.status() == []


class TestSignal:
    """SIGTERM: what waits has as long as the drain has, and is kept then."""

    def test_a_close_that_s3_answers_in_time_succeeds(self, machine, patient, weed_gate):
        with machine.foreground() as process:
            weed_gate.hold(is_commit)
            with closing(machine.cloud / "f") as program:
                weed_gate.wait_held()
                end(process, machine)
                weed_gate.release()
                assert program.wait(PATIENCE) == 0
            assert process.wait(PATIENCE) == 0, machine.log()
        assert patient.get("f") == DATA

    def test_the_daemon_ends_within_its_drain_timeout_and_close_says_that_it_failed(
        self, machine, patient, weed_gate
    ):
        with machine.foreground("--drain-timeout", "1") as process:
            weed_gate.hold(is_commit)
            with closing(machine.cloud / "f") as program:
                weed_gate.wait_held()
                process.terminate()
                assert process.wait(PATIENCE) == 4, machine.log()
                assert program.wait(PATIENCE) != 0
            assert mount_at(machine.cloud) is None
        come_back(weed_gate)
        check_next_mount_sends(machine, patient)

    @pytest.mark.parametrize("level", ["close", "fsync"])
    def test_a_second_signal_ends_the_daemon_at_once(self, machine, patient, weed_gate, level):
        with machine.foreground("--sync", level) as process:
            weed_gate.hold(is_commit)
            with closing(machine.cloud / "f"):
                weed_gate.wait_held()
                end(process, machine)
                process.send_signal(signal.SIGINT)
                assert process.wait(PATIENCE) == 4, machine.log()
        come_back(weed_gate)
        check_next_mount_sends(machine, patient)

    def test_a_waiting_rm_does_not_hold_up_the_end_either(self, machine, patient, weed_gate):
        """Its request is in a thread that waits for S3 and for nothing else."""
        patient.put("f", DATA)
        with machine.foreground("--drain-timeout", "1") as process:
            weed_gate.hold(lambda request: request.method in ("DELETE", "POST"))
            program = subprocess.Popen(["rm", machine.cloud / "f"], stderr=subprocess.DEVNULL)
            weed_gate.wait_held()
            process.terminate()
            assert process.wait(PATIENCE) == 4, machine.log()
            assert program.wait(PATIENCE) != 0
        come_back(weed_gate)
        with machine.mounted() as mount:
            assert (mount.path / "f").read_bytes() == DATA


class TestKill:
    """SIGKILL: whoever waited hears of it, and what was handed over by close() is sent later."""

    def test_while_a_close_waits(self, machine, patient, weed_gate):
        mount = machine.mount()
        weed_gate.hold(is_commit)
        with closing(mount.path / "f") as program:
            weed_gate.wait_held()
            mount.kill()
            assert program.wait(PATIENCE) != 0
        come_back(weed_gate)
        check_next_mount_sends(machine, patient)

    def test_after_a_close_that_gave_up(self, machine, gated, weed_gate):
        """The error of close() says that S3 does not have it, not that it is lost."""
        machine.configure(gated.server, gated.name, endpoint=weed_gate.endpoint, stall_timeout=0.5)
        mount = machine.mount()
        weed_gate.hold(is_commit)
        with closing(mount.path / "f") as program:
            assert program.wait(PATIENCE) != 0
        assert (mount.path / "f").read_bytes() == DATA
        (shown,) = machine.status()
        assert (shown["mounted"], shown["pending_files"]) == (True, 1)
        mount.kill()
        come_back(weed_gate)
        check_next_mount_sends(machine, gated)

    def test_while_the_unmounted_daemon_still_sends(self, machine, patient, weed_gate):
        mount = machine.mount("--sync", "fsync")
        weed_gate.hold(is_commit)
        (mount.path / "f").write_bytes(DATA)
        weed_gate.wait_held()
        mount.leave()
        until(lambda: not machine.status()[0]["mounted"], "status says that it is unmounted")
        mount.kill()
        come_back(weed_gate)
        check_next_mount_sends(machine, patient)


def test_a_lazy_unmount_lets_a_waiting_close_go_on(machine, patient, weed_gate):
    mount = machine.mount()
    weed_gate.hold(is_commit)
    with closing(mount.path / "f") as program:
        weed_gate.wait_held()
        done = machine.run("umount", "--lazy", mount.path)
        assert (done.returncode, mount_at(mount.path)) == (0, None), done.stderr
        weed_gate.release()
        assert program.wait(PATIENCE) == 0
    mount.wait_gone()
    assert patient.get("f") == DATA
    assert os.listdir(mount.path) == []
