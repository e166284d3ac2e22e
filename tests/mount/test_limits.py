"""Large files and many waiters: what a mount must not need more of."""

import hashlib
import subprocess
import sys
import textwrap
import time

import pytest

from tests.mount.conftest import Bucket, new_bucket
from tests.mount.gate import gate, is_commit
from tests.mount.mounted import MIB, PATIENCE, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]
LONG = 600.0
RESIDENT = 150 * MIB


def make_source(machine, size):
    """Make a file without repetition; return it and its SHA-256."""
    path = machine.directory / "source"
    block, found = noise(MIB), hashlib.sha256()
    with path.open("wb") as file:
        for number in range(size // MIB):
            chunk = number.to_bytes(8, "big") + block[8:]
            found.update(chunk)
            file.write(chunk)
    return path, found.hexdigest()


def dd(source, target):
    subprocess.run(
        ["dd", f"if={source}", f"of={target}", "bs=1M", "status=none"], check=True, timeout=LONG
    )


def sha256sum(path):
    done = subprocess.run(["sha256sum", path], check=True, timeout=LONG, capture_output=True)
    return done.stdout.split()[0].decode()


def check_parts(machine, server, size, parts):
    """Write one file; exactly as many parts go out as its size needs, each once."""
    source, wanted = make_source(machine, size)
    bucket: Bucket = new_bucket(server)
    with gate(server.endpoint) as watched:
        machine.configure(server, bucket.name, endpoint=watched.endpoint)
        with machine.mounted("--part-size", "5M") as mount:
            watched.forget()  # what the mount tried out at its start
            dd(source, mount.path / "big")
            assert sha256sum(mount.path / "big") == wanted
        assert len(watched.requests("UploadPart")) == parts
        sent = sum(request.sent for request in watched.requests("UploadPart"))
        assert sent == size
    assert bucket.sum("big") == wanted
    assert bucket.head("big")["ETag"].endswith(f'-{parts}"')


def test_a_file_of_eleven_parts_goes_out_in_eleven_parts(machine, moto_server):
    check_parts(machine, moto_server, 52 * MIB, 11)


@pytest.mark.reliability
def test_a_file_of_over_100_parts(machine, seaweedfs):
    check_parts(machine, seaweedfs, 520 * MIB, 104)


@pytest.mark.reliability
def test_two_gib_are_written_and_read_in_150_mib_of_memory(machine, weed):
    source, wanted = make_source(machine, 2048 * MIB)
    with machine.mounted() as mount:
        dd(source, mount.path / "big")
        written = mount.peak_rss()
    assert weed.sum("big") == wanted
    with machine.mounted() as mount:
        assert sha256sum(mount.path / "big") == wanted
        read = mount.peak_rss()
    print(f"VmHWM: {written // MIB} MiB after writing 2 GiB, {read // MIB} MiB after reading them")
    assert max(written, read) < RESIDENT


def test_ls_and_stat_answer_while_200_closes_wait_for_a_stalled_store(machine, gated, weed_gate):
    gated.put("there", b"before")
    gated.put("deep/er", b"before")
    script = """
        import pathlib, sys, threading
        def write(number):
            pathlib.Path(sys.argv[1], f"f{number:03}").write_bytes(b"%d" % number)
        threads = [threading.Thread(target=write, args=(n,)) for n in range(200)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """
    with machine.mounted("--stall-timeout", "600") as mount:
        weed_gate.hold(is_commit)
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), mount.path]
        ) as closing:
            try:
                until(lambda: mount.status()["pending_files"] == 200, "200 closes that wait")
                for command in (["ls", "-l", mount.path], ["stat", mount.path / "deep" / "er"]):
                    subprocess.run(command, check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
                assert closing.poll() is None
            finally:
                weed_gate.release()
            assert closing.wait(PATIENCE) == 0
    assert {f"f{n:03}" for n in range(200)} <= gated.paths()
    assert gated.get("f123") == b"123"


def test_a_bandwidth_limit_holds_in_both_directions(machine, weed):
    """Faster than the limit is impossible; how much slower is the machine's affair."""
    size, rate = 6 * MIB, 4 * MIB
    weed.put("there", noise(size))
    with machine.mounted("--bandwidth-limit", "4M") as mount:
        began = time.monotonic()
        (mount.path / "f").write_bytes(noise(size, 2))
        went_up = time.monotonic()
        assert (mount.path / "there").read_bytes() == noise(size)
        came_down = time.monotonic()
    least = size / rate - 0.5  # less the bursts
    assert went_up - began >= least
    assert came_down - went_up >= least
    assert weed.get("f") == noise(size, 2)
