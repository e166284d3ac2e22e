"""fio on a real mount: everything that four jobs wrote is read again with its checksums.

Sequential and random writes are verified through the mount that took them, and once more through
one with an empty cache, so by what S3 has. Parts are small: each file is many of them.
"""

import json
import shutil

import pytest

from tests.mount.commands import needs, run
from tests.mount.mounted import MIB, is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.reliability,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
    needs("fio"),
]

JOBS = 4
MEBIBYTES = 64
LONG_MEBIBYTES = 1024
"""Of each job."""
SECONDS = 1200
WORKS = {
    "sequential": ("--rw=write", "--bs=128k", "--ioengine=psync"),
    "random": ("--rw=randwrite", "--bs=16k", "--ioengine=psync"),
    "mapped": ("--rw=randwrite", "--bs=4k", "--ioengine=mmap"),
}


def fio(mount, seed, work, mebibytes, *more):
    """Run the jobs of one work below *mount*; return what fio says of each."""
    options = (
        f"--name={work}",
        f"--directory={mount.path}",
        f"--size={mebibytes}M",
        f"--numjobs={JOBS}",
        f"--randseed={seed + 1}",
        "--verify=crc32c",
        "--verify_fatal=1",
        "--fallocate=none",
        "--thread",
        "--output-format=json",
    )
    said = run("fio", *options, *WORKS[work], *more, cwd=mount.machine.directory, seconds=SECONDS)
    jobs = json.loads(said[said.index("{") :])["jobs"]
    assert len(jobs) == JOBS
    assert all(job["error"] == 0 for job in jobs), jobs
    return jobs


def read_of(jobs):
    """Return how many bytes the jobs have read, and so compared."""
    return sum(job["read"]["io_bytes"] for job in jobs)


@pytest.mark.parametrize("work", WORKS)
def test_what_fio_wrote_has_its_checksums_here_and_on_s3(machine, weed, effort, work):
    mebibytes = LONG_MEBIBYTES if effort.is_long else MEBIBYTES
    whole = JOBS * mebibytes * MIB
    for seed in effort.rounds(1):
        with machine.mounted("--sync", "fsync", "--part-size", "5M") as mount:
            written = fio(mount, seed, work, mebibytes, "--do_verify=1", "--end_fsync=1")
        assert sum(job["write"]["io_bytes"] for job in written) == whole
        assert read_of(written) == whole
        shutil.rmtree(machine.home / ".cache" / "cognitofs")
        with machine.mounted() as mount:
            again = fio(mount, seed, work, mebibytes, "--verify_only=1")
        compared = read_of(again)
        assert compared == whole
        effort.counts["MiB compared through an empty cache"] += compared // MIB
        weed.remove("")
    effort.demand(JOBS * mebibytes, "MiB compared through an empty cache")
