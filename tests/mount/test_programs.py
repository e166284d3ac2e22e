"""Plain programs on a mount, their work compared with what an independent client finds on S3."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.mount.commands import differences, facts, make_tree, needs, run, sums
from tests.mount.mounted import MIB, PATIENCE, Machine, is_fuse_usable, noise

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


class TestTrees:
    """Whole trees go there and come back, through another mount that knows nothing of them."""

    def check(self, machine, bucket, other, count, *options):
        source = make_tree(machine.directory / "source", count)
        with machine.mounted(*options) as mount:
            run("cp", "-a", source, mount.path / "tree", seconds=600)
            run("diff", "-r", "--no-dereference", source, mount.path / "tree", seconds=600)
            assert differences(facts(source), facts(mount.path / "tree")) == {}
        assert bucket.sums("tree/") == sums(source)
        other.configure(bucket.server, bucket.name)
        with other.mounted() as mount:
            different = differences(facts(source), facts(mount.path / "tree"))
            if bucket.server.name == "seaweedfs":  # drops the metadata of keys that end in "/"
                different = {k: v for k, v in different.items() if not (source / k).is_dir()}
            assert different == {}
            run("diff", "-r", "--no-dereference", source, mount.path / "tree", seconds=600)

    @pytest.fixture
    def other(self, tmp_path):
        (tmp_path / "other").mkdir()
        machine = Machine(tmp_path / "other")
        yield machine
        machine.close()

    def test_cp_a_keeps_bytes_modes_times_and_links(self, machine, bucket, other):
        self.check(machine, bucket, other, 100)

    def test_cp_a_keeps_them_at_level_fsync(self, machine, weed, other):
        self.check(machine, weed, other, 300, "--sync", "fsync")

    @pytest.mark.reliability
    def test_thousands_of_files_are_kept(self, machine, weed, other):
        self.check(machine, weed, other, 3000)


class TestPrograms:
    """Programs that people run, each with what its work must look like on S3."""

    @needs("rsync")
    def test_rsync_moves_nothing_the_second_time(self, machine, bucket):
        source = make_tree(machine.directory / "source", 40)
        with machine.mounted() as mount:
            run("rsync", "-a", f"{source}/", mount.path / "copy", seconds=300)
            again = run("rsync", "-a", "--itemize-changes", f"{source}/", mount.path / "copy")
            assert again == ""
        assert bucket.sums("copy/") == sums(source)
        with machine.mounted() as mount:
            again = run("rsync", "-a", "--itemize-changes", f"{source}/", mount.path / "copy")
        lines = again.splitlines()
        if bucket.server.name == "seaweedfs":  # drops the metadata of keys that end in "/"
            lines = [line for line in lines if not line.endswith("/")]
        assert lines == []

    def test_tar_unpacks_and_packs_the_same(self, machine, bucket):
        source = make_tree(machine.directory / "source", 30)
        packed = machine.directory / "source.tar"
        run("tar", "-C", source, "-cf", packed, ".")
        with machine.mounted() as mount:
            (mount.path / "unpacked").mkdir()
            run("tar", "-C", mount.path / "unpacked", "-xpf", packed)
            run("tar", "-C", mount.path / "unpacked", "--compare", "-f", packed)
            run("tar", "-C", source, "-cf", mount.path / "packed.tar", ".")
        assert bucket.get("packed.tar") == packed.read_bytes()
        assert sums(source).keys() <= {path.removeprefix("unpacked/") for path in bucket.paths()}


class TestBytes:
    """What single system calls make of an object."""

    def test_two_processes_append_to_one_log_and_no_line_is_lost(self, machine, weed):
        weed.put("log", b"first\n")
        line = 'i=0; while [ $i -lt 50 ]; do echo "$0 $i"; i=$((i+1)); done >> log'
        with machine.mounted() as mount:
            writers = [
                subprocess.Popen(["sh", "-c", line, name], cwd=mount.path) for name in ("a", "b")
            ]
            assert [writer.wait(PATIENCE) for writer in writers] == [0, 0]
        lines = weed.get("log").decode().splitlines()
        assert lines[0] == "first"
        expected = [f"{name} {number}" for name in "ab" for number in range(50)]
        assert sorted(lines[1:]) == sorted(expected)

    def test_random_writes_into_a_new_and_into_an_existing_object(self, machine, bucket):
        """Places cross parts, beginning and end of both; each file is compared byte by byte."""
        size = 12 * MIB
        bucket.put("old", noise(size))
        places = [(0, 10), (5 * MIB - 7, 20), (size - 3, 9), (777_777, 100_000), (10 * MIB, MIB)]
        expected = {"old": bytearray(noise(size)), "new": bytearray()}
        with machine.mounted("--part-size", "5M") as mount:
            for name, image in expected.items():
                with (mount.path / name).open("r+b" if name == "old" else "w+b") as file:
                    for number, (start, length) in enumerate(places):
                        data = noise(length, number)
                        file.seek(start)
                        file.write(data)
                        image.extend(bytes(max(0, start + length - len(image))))
                        image[start : start + length] = data
                    file.flush()
                    file.seek(0)
                    assert file.read() == image
                assert (mount.path / name).read_bytes() == image
        assert {name: bucket.get(name) for name in expected} == expected

    def test_truncating_down_and_up_leaves_zeros_where_nothing_was_written(self, machine, bucket):
        bucket.put("f", noise(6 * MIB))
        with machine.mounted("--part-size", "5M") as mount:
            os.truncate(mount.path / "f", 5000)
            assert (mount.path / "f").read_bytes() == noise(6 * MIB)[:5000]
            os.truncate(mount.path / "f", 11 * MIB)
            with (mount.path / "f").open("r+b") as file:
                file.seek(8 * MIB)
                file.write(b"here")
                file.truncate(12 * MIB)
            with (mount.path / "hole").open("wb") as file:
                file.seek(7 * MIB)
                file.write(b"end")
        image = bytearray(12 * MIB)
        image[:5000] = noise(6 * MIB)[:5000]
        image[8 * MIB : 8 * MIB + 4] = b"here"
        assert bucket.get("f") == image
        assert bucket.get("hole") == bytes(7 * MIB) + b"end"

    def test_what_was_written_is_read_at_once_through_any_handle(self, machine, weed):
        with machine.mounted() as mount:
            path = mount.path / "f"
            with path.open("wb", buffering=0) as writer, path.open("rb", buffering=0) as reader:
                for number in range(20):
                    writer.write(b"%03d\n" % number)
                    assert reader.read() == b"%03d\n" % number
                    assert path.stat().st_size == 4 * (number + 1)

    def test_an_unlinked_file_lives_on_while_it_is_open(self, machine, bucket):
        bucket.put("old", noise(3 * MIB))
        with (
            machine.mounted() as mount,
            (mount.path / "old").open("rb") as old,
            (mount.path / "new").open("w+b") as new,
        ):
            new.write(b"unseen")
            new.flush()
            (mount.path / "old").unlink()
            (mount.path / "new").unlink()
            assert list(mount.path.iterdir()) == []
            new.seek(0)
            assert new.read() == b"unseen"
            assert old.read() == noise(3 * MIB)
        assert bucket.paths() == set()

    def test_a_mapped_file_is_stored_with_what_was_written_through_the_map(self, machine, bucket):
        bucket.put("f", noise(2 * MIB))
        # In a process of its own: a page fault holds the interpreter that our moto runs in.
        script = """
            import mmap, sys
            with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
                mapped[1 << 20 : (1 << 20) + 5] = b"hello"
        """
        with machine.mounted() as mount:
            run(sys.executable, "-c", textwrap.dedent(script), mount.path / "f")
        expected = bytearray(noise(2 * MIB))
        expected[MIB : MIB + 5] = b"hello"
        assert bucket.get("f") == expected

    def test_a_change_of_mode_and_times_alone_reaches_s3_and_keeps_the_rest(self, machine, bucket):
        bucket.client.put_object(
            Bucket=bucket.name,
            Key=bucket.root + "f",
            Body=b"x",
            ContentType="text/x-odd",
            Metadata={"mine": "kept"},
        )
        with machine.mounted() as mount:
            (mount.path / "f").chmod(0o600)
            os.utime(mount.path / "f", ns=(0, 1_234_567_890_123_456_789))
        found = bucket.head("f")
        assert (found["ContentType"], found["Metadata"]["mine"]) == ("text/x-odd", "kept")
        assert int(found["Metadata"]["file-permissions"], 8) & 0o777 == 0o600
        assert found["Metadata"]["file-mtime"] == "1234567890123456789ns"
