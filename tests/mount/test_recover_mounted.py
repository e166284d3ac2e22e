"""`cognitofs recover` asks a running mount, whose journal nobody else may open."""

import json

import pytest

from tests.mount.mounted import is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]
DATA = noise(100_000)


def test_kept_files_of_a_running_mount_are_listed_exported_discarded_and_sent(
    machine, gated, weed_gate
):
    machine.configure(gated.server, gated.name, endpoint=weed_gate.endpoint)
    with machine.mounted("--sync", "fsync") as mount:
        with (mount.path / "wanted").open("wb") as wanted:
            with (mount.path / "unwanted").open("wb") as unwanted:
                weed_gate.shut()
                unwanted.write(b"oops")
            wanted.write(DATA)
        until(lambda: mount.status()["state"] == "waiting", "the uploads wait for the network")
        listed = machine.run("recover", "list", "--json")
        assert listed.returncode == 4
        kept = {each["path"]: each for each in json.loads(listed.stdout)["files"]}
        assert {"wanted", "unwanted"} <= set(kept)
        assert kept["wanted"]["attempts"] >= 1
        out = machine.directory / "out"
        done = machine.run("recover", "export", out, mount.path / "wanted")
        assert done.returncode == 0, done.stderr
        assert (out / "wanted").read_bytes() == DATA
        done = machine.run("recover", "discard", "--yes", kept["unwanted"]["id"])
        assert done.returncode == 0, done.stderr
        weed_gate.open()
        until(lambda: not (mount.path / "unwanted").exists(), "the name goes")
        done = machine.run("recover", "retry", "--all")
        assert done.returncode == 0, done.stderr
        assert machine.run("recover", "list").returncode == 0
    assert gated.get("wanted") == DATA
    assert gated.paths() == {"wanted"}
