"""A mount that cannot start because nothing answers: one sentence, one exit code, no mount."""

import errno
import os
import shutil
import subprocess

import pytest

from cognitofs.mounttable import mount_at
from tests.mount.mounted import PATIENCE, Machine, assert_refused, is_fuse_usable, until
from tests.servers import S3Server, free_ports

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


@pytest.mark.parametrize("options", [(), ("--foreground",)], ids=["background", "foreground"])
def test_a_server_that_cannot_be_reached_is_said_in_one_sentence(machine: Machine, options):
    nobody = S3Server("nobody", f"http://127.0.0.1:{free_ports(1)[0]}", "key", "secret")
    machine.configure(nobody, "bucket")
    done = machine.run("mount", machine.cloud, "--net-wait", "2", *options)
    assert_refused(done, 1, "cannot be reached")
    assert mount_at(machine.cloud) is None


def test_a_look_at_a_silent_server_ends_and_so_does_who_is_killed_meanwhile(
    machine, gated, weed_gate
):
    """SIGKILL does not end a program before its question is answered: so questions are brief."""
    gated.put("d/there", b"1")
    with machine.mounted("--net-wait", "2", "--metadata-ttl", "0") as mount:
        directory = mount.path / "d"
        assert os.listdir(mount.path) == ["d"]
        assert directory.is_dir()
        weed_gate.hold()
        try:
            waiting = subprocess.Popen(["ls", "-l", directory / "another"])
            weed_gate.wait_held()
            waiting.kill()
            assert waiting.wait(PATIENCE) != 0
            with pytest.raises(OSError, match="No route to host") as caught:
                os.stat(directory / "elsewhere")
            assert caught.value.errno == errno.EHOSTUNREACH
            with pytest.raises(OSError, match="No route to host"):
                os.mkdir(directory / "new")
        finally:
            weed_gate.release()
        until(lambda: not mount.status()["away_since"], "S3 is back")
        assert os.listdir(directory) == ["there"]


def test_what_was_seen_is_there_without_a_network_and_new_files_can_be_made(
    machine, gated, weed_gate
):
    gated.put("d/seen", b"seen")
    options = ("--net-wait", "1", "--metadata-ttl", "0", "--open-ttl", "0", "--sync", "fsync")
    with machine.mounted(*options) as mount:
        directory = mount.path / "d"
        assert os.listdir(directory) == ["seen"]
        assert (directory / "seen").read_bytes() == b"seen"
        weed_gate.shut()
        try:
            assert (directory / "seen").read_bytes() == b"seen"
            status = mount.status()
            assert status["away_since"]
            assert "as last seen" in machine.run("status", mount.path).stdout
            with (directory / "seen").open("ab") as appended:
                appended.write(b" and more")
            shutil.copy(directory / "seen", directory / "new")
            (directory / "made").mkdir()
            (directory / "made" / "below").write_bytes(b"below")
            assert sorted(os.listdir(directory)) == ["made", "new", "seen"]
            with pytest.raises(FileNotFoundError):
                os.stat(directory / "missing")
        finally:
            weed_gate.open()
        done = machine.run("sync", mount.path, seconds=120)
        assert done.returncode == 0, done.stderr
        until(lambda: not mount.status()["away_since"], "S3 is back")
    assert gated.get("d/seen") == gated.get("d/new") == b"seen and more"
    assert gated.get("d/made/below") == b"below"
