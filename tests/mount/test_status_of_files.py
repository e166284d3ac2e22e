"""`cognitofs status` for one file, and until S3 has it."""

import json

import pytest

from tests.mount.gate import is_commit
from tests.mount.mounted import assert_refused, is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


def test_a_file_is_followed_until_s3_has_it(machine, gated, weed_gate):
    with machine.mounted("--sync", "fsync") as mount:
        path = mount.path / "d" / "f"
        path.parent.mkdir()
        assert machine.run("sync").returncode == 0
        weed_gate.hold(is_commit)
        path.write_bytes(b"bytes")
        weed_gate.wait_held()
        done = machine.run("status", path)
        assert (done.returncode, done.stdout) == (0, f"'{path}': uploading, 5 B\n")
        told = json.loads(machine.run("status", "--json", path.parent).stdout)
        assert [(each["path"], each["state"]) for each in told["files"]] == [("d/f", "uploading")]
        assert told["mountpoint"] == str(mount.path)
        for place in (path, mount.path):
            late = machine.run("status", "--wait-clean", "--timeout", "0.2", place)
            assert late.returncode == 4
            assert "S3 does not have everything yet" in late.stderr
        assert "clean" in machine.run("status", "--wait-clean", mount.path / "other").stdout
        weed_gate.release()
        watched = machine.run("status", "--watch", "--wait-clean", path)
        assert watched.returncode == 0
        assert watched.stdout.endswith(f"'{path}': clean, nothing of it is unsent\n\n")
        assert machine.run("status", "--wait-clean").returncode == 0
        assert gated.get("d/f") == b"bytes"


def test_a_path_in_no_mount_is_refused_with_a_sentence(machine):
    assert_refused(machine.run("status", "/usr/bin"), 1, "not in a mount of yours")
