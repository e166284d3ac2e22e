"""A soak: mixed work in bad weather leaves nothing behind, and the process does not grow."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.mount.conftest import new_bucket
from tests.mount.faults import FaultGate
from tests.mount.mounted import MIB, is_fuse_usable, until
from tests.mount.soaked import Samples, Weather, Worker

pytestmark = [
    pytest.mark.mount,
    pytest.mark.reliability,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

SECONDS = 60.0
"""Of one round: all that a submission asks for."""
WARM_UP = 600.0
"""Seconds after which the process must not grow any more."""
WORKERS = 3
MOST_RSS = 150 * MIB
MOST_SLOPE = MIB
"""Bytes in an hour, by which a process that was warm may seem to grow."""
FIT_SECONDS = 3000.0
"""What a slope is fitted to at least: in less, what comes and goes looks like growth."""
CONNECTIONS = 64
"""Idle ones that are kept: as many as requests may run at once."""
SLACK = 8


def work(mount, gate, seed, counts):
    """Work for one round; return the workers, who know what must be there."""
    is_over = threading.Event()
    workers = [Worker(mount.path, f"w{seed}-{each}", seed, counts) for each in range(WORKERS)]
    weather = Weather(gate, seed, counts)
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(worker.work, is_over) for worker in workers]
        weather.start()
        is_over.wait(SECONDS)
        is_over.set()
        weather.clear()
        for future in futures:
            future.result()
    return workers


def compare(machine, mount, bucket, workers, counts):
    """Let everything arrive; each file must be on S3 as its worker left it."""
    done = machine.run("sync", mount.path, seconds=300)
    assert done.returncode == 0, done.stderr
    found = bucket.sums()
    for worker in workers:
        wrong = {p: found.get(p) for p, total in worker.expected.items() if found.get(p) != total}
        assert not wrong, wrong
        counts["files compared on S3"] += len(worker.expected)


def check_rest(mount, samples, start):
    """Nothing of the work is left in the process."""
    until(lambda: samples.now().fds <= start.fds + CONNECTIONS + SLACK, "few descriptors", 90)
    until(lambda: samples.now().threads <= start.threads + SLACK, "few threads", 90)
    until(lambda: samples.now().spool == 0, "an empty spool", 90)
    status = mount.status()
    assert (status["pending_files"], status["failed_files"]) == (0, 0)


def check_growth(samples, counts, *, is_long):
    """Tell the figures, and demand that the process does not grow."""
    peaks = samples.peaks()
    counts["samples"] = len(samples.taken)
    for name in ("rss", "journal", "spool", "cache"):
        counts[f"KiB of {name} at most"] = peaks[name] // 1024
    counts["descriptors at most"], counts["threads at most"] = peaks["fds"], peaks["threads"]
    assert peaks["rss"] < MOST_RSS
    warm_up = WARM_UP if is_long else SECONDS / 4
    if len(samples.after(warm_up)) < 20:
        return
    slope = samples.slope("rss", warm_up)
    counts["KiB of RSS an hour"] = round(slope / 1024)
    counts["descriptors grown"] = round(samples.growth("fds", warm_up))
    counts["threads grown"] = round(samples.growth("threads", warm_up))
    assert samples.growth("fds", warm_up) <= SLACK
    if is_long:
        assert samples.growth("threads", warm_up) <= SLACK
    if samples.taken[-1].seconds >= warm_up + FIT_SECONDS:
        assert slope < MOST_SLOPE, f"{slope / MIB:.2f} MiB an hour"


def test_mixed_work_in_bad_weather_leaves_nothing_and_the_process_does_not_grow(
    machine, seaweedfs, effort
):
    gate, bucket = FaultGate(seaweedfs.endpoint), new_bucket(seaweedfs)
    machine.configure(seaweedfs, bucket.name, endpoint=gate.endpoint)
    mount = machine.mount("--sync", "fsync", "--part-size", "5M", "--cache-size", "64M")
    samples = Samples(mount)
    start = samples.now()
    try:
        for seed in effort.rounds(1):
            workers = work(mount, gate, seed, effort.counts)
            compare(machine, mount, bucket, workers, effort.counts)
            for worker in workers:
                worker.clean()
        assert machine.run("sync", mount.path, seconds=300).returncode == 0
        check_rest(mount, samples, start)
    except BaseException as exc:
        exc.add_note(machine.log()[-6000:])
        raise
    finally:
        samples.stop()
        for each in samples.taken[:: max(1, len(samples.taken) // 60)]:
            print(each)
    check_growth(samples, effort.counts, is_long=effort.is_long)
    mount.leave()
    mount.wait_gone()
    assert list(machine.state.glob("mounts/*/journal.db*")) == []
    assert list(machine.state.glob("mounts/*/spool/*")) == []
    uploads = bucket.client.list_multipart_uploads(Bucket=bucket.name)
    assert uploads.get("Uploads", []) == []
    assert bucket.paths() == set()
    gate.close()
    effort.demand(1, "requests spoilt", "files compared on S3", "rename directory", "tree")
