"""Plain programs on a mount, their work compared with what an independent client finds on S3."""

import hashlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.mounted import MIB, PATIENCE, Machine, is_fuse_usable, noise

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where the program that it runs is not installed."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(*command: object, cwd: Path | None = None, seconds: float = PATIENCE) -> str:
    """Run a program to its end and return what it printed; it must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def facts(top: Path) -> dict[str, tuple]:
    """Return what stat says of everything below *top*, and what links point to."""
    found = {}
    for path in (top, *top.rglob("*")):
        seen = path.lstat()
        target = path.readlink() if path.is_symlink() else None
        is_file = stat.S_ISREG(seen.st_mode)
        mtime = None if path.is_symlink() else seen.st_mtime_ns
        size = seen.st_size if is_file else 0
        found[str(path.relative_to(top))] = (seen.st_mode, mtime, size, target)
    return found


def differences(left: dict, right: dict) -> dict:
    """Return what is not the same in both."""
    return {k: (left.get(k), right.get(k)) for k in {*left, *right} if left.get(k) != right.get(k)}


def sums(top: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below *top*, as S3 has it: a link is an object too."""
    found = {}
    for path in top.rglob("*"):
        is_link = path.is_symlink()
        if is_link or path.is_file():
            body = os.readlink(path).encode() if is_link else path.read_bytes()
            found[str(path.relative_to(top))] = hashlib.sha256(body).hexdigest()
    return found


def library_files(library: Path) -> Iterator[Path]:
    """Yield the modules below *library*, in order, without what is installed beside them."""
    others = {"site-packages", "dist-packages", "__pycache__"}
    for path in sorted(library.rglob("*.py")):
        if not path.is_symlink() and not others & set(path.relative_to(library).parts):
            yield path


def make_tree(target: Path, wanted: int) -> Path:
    """Copy *wanted* files to *target*, with links and rare modes.

    They are the standard library's, and those of the installed packages when it has no more.
    """
    count = 0
    for library in (Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))):
        for path in library_files(library):
            if count == wanted:
                break
            copy = target / library.name / path.relative_to(library)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
            count += 1
    assert count == wanted
    odd = target / "odd \u00fc&+ names"
    odd.mkdir()
    for mode in (0o400, 0o600, 0o640, 0o755):
        (odd / f"{mode:o}").write_bytes(noise(mode))
        (odd / f"{mode:o}").chmod(mode)
        os.utime(odd / f"{mode:o}", ns=(1, 1_000_000_000_000_000_000 + mode))
    (odd / "empty").touch()
    (odd / "empty directory").mkdir(mode=0o700)
    (odd / "link").symlink_to("640")
    (odd / "dangling").symlink_to("../nowhere/at all")
    (target / "link to a directory").symlink_to(odd.name)
    return target


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

    @needs("git")
    def test_git_works_in_it(self, machine, weed):
        tree = make_tree(machine.directory / "source", 20)
        environ = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        with machine.mounted("--sync", "fsync") as mount:
            work = mount.path / "work"
            run("git", "init", "-q", "-b", "main", work)
            shutil.copytree(tree, work / "tree", symlinks=True)
            run("git", "-C", work, "add", "-A")
            run("git", *environ, "-C", work, "commit", "-q", "-m", "Everything")
            (work / "tree" / "new").write_text("new")
            run("git", "-C", work, "add", "-A")
            run("git", *environ, "-C", work, "commit", "-q", "-m", "More")
            run("git", "-C", work, "fsck", "--strict")
            assert run("git", "-C", work, "status", "--porcelain") == ""
            head = run("git", "-C", work, "rev-parse", "HEAD").strip()
        assert weed.get("work/.git/refs/heads/main").decode().strip() == head
        with machine.mounted() as mount:
            run("git", "-C", mount.path / "work", "fsck", "--strict")
            assert run("git", "-C", mount.path / "work", "status", "--porcelain") == ""

    def test_sqlite_keeps_its_database_in_it(self, machine, weed):
        with machine.mounted() as mount:
            database = sqlite3.connect(mount.path / "a.db")
            database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB)")
            for round_ in range(3):
                with database:
                    rows = ((noise(900, n),) for n in range(100 * round_, 100 * round_ + 100))
                    database.executemany("INSERT INTO t (body) VALUES (?)", rows)
            with database:
                database.execute("DELETE FROM t WHERE n % 3 = 0")
            database.close()
        copy = machine.directory / "copy.db"
        copy.write_bytes(weed.get("a.db"))
        database = sqlite3.connect(copy)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM t").fetchone() == (200,)
        database.close()

    def test_an_editor_saves_by_renaming_a_new_file_over_the_old_one(self, machine, weed):
        weed.put("notes.txt", b"old")
        with machine.mounted() as mount:
            for number in range(3):
                new = mount.path / ".notes.txt.swp"
                with new.open("wb") as file:
                    file.write(b"version %d" % number)
                    os.fsync(file.fileno())
                new.rename(mount.path / "notes.txt")
                assert (mount.path / "notes.txt").read_bytes() == b"version %d" % number
            assert [path.name for path in mount.path.iterdir()] == ["notes.txt"]
        assert weed.get("notes.txt") == b"version 2"
        assert weed.paths() == {"notes.txt"}


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
