"""What somebody else does to the same objects: seen in time, never mixed in, never overwritten."""

import errno
import json
import os
import time

import pytest

from tests.mount.gate import is_commit
from tests.mount.mounted import MIB, assert_refused, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


FAIL = ("--conflict", "fail")


class TestConflict:
    """An object that changed between open and close: both versions are there afterwards."""

    def test_ours_becomes_a_second_file_and_the_name_is_theirs(self, machine, bucket):
        bucket.put("f.txt", b"at the beginning")
        # However long names are trusted: the kernel is told.
        with machine.mounted("--metadata-ttl", "3600") as mount:
            descriptor = os.open(mount.path / "f.txt", os.O_RDWR | os.O_TRUNC)
            number = os.fstat(descriptor).st_ino
            os.write(descriptor, b"ours, all of it")
            bucket.put("f.txt", b"theirs")
            os.fsync(descriptor)
            (copy,) = [name for name in os.listdir(mount.path) if name != "f.txt"]
            assert copy.startswith("f (conflicted copy ")
            assert (mount.path / copy).stat().st_ino == number
            until(lambda: (mount.path / "f.txt").read_bytes() == b"theirs", "their version")
            assert (mount.path / "f.txt").stat().st_ino != number
            os.write(descriptor, b", and more")
            os.close(descriptor)
            assert bucket.get(copy) == b"ours, all of it, and more"
            assert bucket.get("f.txt") == b"theirs"
            (status,) = machine.status()
            (conflict,) = status["conflicts"]
            assert (conflict["path"], conflict["copy"]) == ("f.txt", copy)
            assert status["state"] == "clean"
            done = machine.run("status")
            assert done.returncode == 0
            assert copy in done.stdout


class TestConflictFail:
    """`--conflict fail`: the remote stays, and so do our bytes, until a person decides."""

    def test_close_fails_and_nothing_is_lost(self, machine, bucket):
        bucket.put("f", b"at the beginning")
        mount = machine.mount(*FAIL)
        with pytest.raises(OSError, match="Stale") as caught:
            self.write_whole(mount.path / "f", b"ours, all of it", bucket)
        assert caught.value.errno == errno.ESTALE
        assert bucket.get("f") == b"theirs"
        self.check_status(machine)
        assert (mount.path / "f").read_bytes() == b"ours, all of it"
        mount.leave()
        mount.wait_gone()
        machine.mount(*FAIL)  # a day later it is the same
        self.check_status(machine)
        assert (mount.path / "f").read_bytes() == b"ours, all of it"
        assert bucket.get("f") == b"theirs"

    def write_whole(self, path, data, bucket):
        """Write a file anew; somebody else does so too before it is closed."""
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, data)
            bucket.put(path.name, b"theirs")
        finally:
            os.close(descriptor)

    def test_a_change_of_a_part_is_readable_as_a_whole_when_the_rest_was_read_before(
        self, machine, bucket
    ):
        """The bytes between ours were the object's, which is gone."""
        bucket.put("f", b"at the beginning")
        mount = machine.mount(*FAIL)
        descriptor = os.open(mount.path / "f", os.O_RDWR)
        assert os.read(descriptor, 100) == b"at the beginning"
        os.pwrite(descriptor, b"OURS", 0)
        bucket.put("f", b"theirs")
        with pytest.raises(OSError, match="Stale"):
            os.close(descriptor)
        assert (mount.path / "f").read_bytes() == b"OURShe beginning"
        assert bucket.get("f") == b"theirs"

    def check_status(self, machine):
        """Status shows the conflict once it was met, and its exit code says that it needs us."""

        def is_shown():
            (mount,) = machine.live()
            return mount.conflict_files == 1 and mount.state == "conflict"

        until(is_shown, "the conflict in status")
        done = machine.run("status")
        assert done.returncode == 4
        assert "changed by somebody else" in done.stdout

    def test_a_name_that_somebody_else_made_meanwhile_is_not_overwritten(self, machine, bucket):
        mount = machine.mount(*FAIL)
        descriptor = os.open(mount.path / "f", os.O_RDWR | os.O_CREAT)
        os.write(descriptor, b"ours")
        bucket.put("f", b"theirs")
        with pytest.raises(OSError, match="Stale"):
            os.close(descriptor)
        assert bucket.get("f") == b"theirs"
        assert (mount.path / "f").read_bytes() == b"ours"
        assert machine.run("status").returncode == 4


class TestFreshness:
    """Other hosts' changes are seen within --metadata-ttl, and by open within --open-ttl."""

    def test_new_and_removed_objects_are_seen_within_the_ttl(self, machine, bucket):
        with machine.mounted("--metadata-ttl", "0.5") as mount:
            assert not (mount.path / "new").exists()
            assert list(mount.path.iterdir()) == []
            bucket.put("new", b"1")
            bucket.put("deep/down", b"2")
            until((mount.path / "new").exists, "a new object")
            until((mount.path / "deep" / "down").exists, "an object in a new directory")
            assert sorted(path.name for path in mount.path.iterdir()) == ["deep", "new"]
            bucket.client.delete_object(Bucket=bucket.name, Key=bucket.root + "new")
            until(lambda: not (mount.path / "new").exists(), "the object's end")

    def test_an_open_asks_and_sees_the_newest_version_in_a_new_inode(self, machine, bucket):
        """At --open-ttl 0 there is no age at which a look at S3 is spared."""
        bucket.put("f", b"first")
        with machine.mounted("--open-ttl", "0", "--metadata-ttl", "3600") as mount:
            assert (mount.path / "f").read_bytes() == b"first"
            number = (mount.path / "f").stat().st_ino
            for version in (b"second", b"3", b"the fourth"):
                bucket.put("f", version)
                assert (mount.path / "f").read_bytes() == version
            assert (mount.path / "f").stat().st_ino != number

    def test_an_open_handle_reads_its_own_version_or_fails_but_never_mixes(self, machine, bucket):
        size = 24 * MIB
        bucket.put("f", noise(size))
        with machine.mounted("--open-ttl", "0") as mount:
            descriptor = os.open(mount.path / "f", os.O_RDONLY)
            assert os.pread(descriptor, 4096, 0) == noise(size)[:4096]
            bucket.put("f", noise(size, 2))
            with pytest.raises(OSError, match="Stale") as caught:
                os.pread(descriptor, 4096, 20 * MIB)
            assert caught.value.errno == errno.ESTALE
            os.close(descriptor)
            assert (mount.path / "f").read_bytes() == noise(size, 2)

    def test_a_file_that_became_a_directory_elsewhere_is_one(self, machine, bucket):
        bucket.put("x", b"file")
        with machine.mounted("--metadata-ttl", "0.5") as mount:
            assert (mount.path / "x").is_file()
            bucket.client.delete_object(Bucket=bucket.name, Key=bucket.root + "x")
            bucket.put("x/y", b"below")
            until((mount.path / "x").is_dir, "the directory")
            assert (mount.path / "x" / "y").read_bytes() == b"below"

    def test_what_a_listing_notices_is_seen_by_every_call_at_once(self, machine, bucket):
        """However long the kernel was told to trust names and their absence."""
        for name in ("changed", "kept", "removed"):
            bucket.put(f"d/{name}", b"first")
        with machine.mounted("--metadata-ttl", "60") as mount:
            below = mount.path / "d"
            numbers = {name: (below / name).stat().st_ino for name in ("changed", "kept")}
            assert (below / "removed").exists()
            assert not (below / "new").exists()
            bucket.put("d/changed", b"the second version")
            bucket.put("d/new", b"1")
            bucket.remove("d/removed")
            assert sorted(os.listdir(below)) == ["changed", "kept", "new"]
            until(lambda: not (below / "removed").exists(), "the end of a name")
            until((below / "new").exists, "a name that was missing")
            until(lambda: (below / "changed").stat().st_size == 18, "the new size")
            assert (below / "changed").stat().st_ino != numbers["changed"]
            assert (below / "kept").stat().st_ino == numbers["kept"]

    def test_our_own_upload_is_no_change_of_the_file(self, machine, gated, weed_gate):
        """What compares ctime would take it for one: git, in the middle of a merge."""
        with machine.mounted("--metadata-ttl", "0", "--sync", "fsync") as mount:
            path = mount.path / "f"
            weed_gate.hold(is_commit)
            path.write_bytes(b"bytes")
            weed_gate.wait_held()
            before = path.stat()
            time.sleep(2)  # LastModified counts in seconds
            weed_gate.release()
            assert machine.run("sync", mount.path).returncode == 0
            assert gated.head("f")["LastModified"].timestamp() > before.st_ctime
            after = path.stat()
            assert (after.st_ctime_ns, after.st_ino) == (before.st_ctime_ns, before.st_ino)


class TestRefresh:
    """`cognitofs refresh`: for who cannot wait until names are no longer trusted."""

    def test_a_refresh_shows_what_others_did_at_once(self, machine, bucket):
        for name in ("d/changed", "d/removed"):
            bucket.put(name, b"first")
        with machine.mounted("--metadata-ttl", "3600", "--open-ttl", "3600") as mount:
            below = mount.path / "d"
            assert (below / "changed").read_bytes() == b"first"
            assert (below / "removed").exists()
            assert not (below / "new").exists()
            bucket.put("d/changed", b"second")
            bucket.put("d/new", b"1")
            bucket.remove("d/removed")
            assert (below / "changed").read_bytes() == b"first"
            done = machine.run("refresh", "--json", below)
            assert done.returncode == 0, done.stderr
            (told,) = json.loads(done.stdout)["refreshed"]
            assert told == {"path": str(below), "mountpoint": str(mount.path), "names": 3}
            until(lambda: (below / "changed").read_bytes() == b"second", "the newest version")
            until((below / "new").exists, "a name that was missing")
            until(lambda: not (below / "removed").exists(), "the end of a name")

    def test_a_path_in_no_mount_is_refused_with_a_sentence(self, machine):
        assert_refused(machine.run("refresh", "/usr"), 1, "not in a mount of yours")
