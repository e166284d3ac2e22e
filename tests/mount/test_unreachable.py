"""A mount that cannot start because nothing answers: one sentence, one exit code, no mount."""

import errno
import os
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
    gated.put("there", b"1")
    with machine.mounted("--net-wait", "2", "--metadata-ttl", "0") as mount:
        assert os.listdir(mount.path) == ["there"]
        weed_gate.hold()
        try:
            with pytest.raises(OSError, match="No route to host") as caught:
                os.stat(mount.path / "elsewhere")
            assert caught.value.errno == errno.EHOSTUNREACH
            waiting = subprocess.Popen(["ls", "-l", mount.path / "another"])
            weed_gate.wait_held()
            waiting.kill()
            assert waiting.wait(PATIENCE) != 0
            with pytest.raises(OSError, match="No route to host"):
                os.mkdir(mount.path / "new")
        finally:
            weed_gate.release()
        assert until(lambda: os.listdir(mount.path), "the listing") == ["there"]
