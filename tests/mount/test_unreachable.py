"""A mount that cannot start because nothing answers: one sentence, one exit code, no mount."""

import pytest

from cognitofs.mounttable import mount_at
from tests.mount.mounted import Machine, assert_refused, is_fuse_usable
from tests.servers import S3Server, free_ports

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


@pytest.mark.parametrize("options", [(), ("--foreground",)], ids=["background", "foreground"])
def test_a_server_that_cannot_be_reached_is_said_in_one_sentence(machine: Machine, options):
    nobody = S3Server("nobody", f"http://127.0.0.1:{free_ports(1)[0]}", "key", "secret")
    machine.configure(nobody, "bucket")
    done = machine.run("mount", machine.cloud, *options)
    assert_refused(done, 1, "cannot be reached")
    assert mount_at(machine.cloud) is None
