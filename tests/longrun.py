"""`scripts/test-long`: one suite for as long as it is given, with figures at the end.

A seed decides everything random, so a failure is repeated by naming the seed that is printed, and a
night goes on where the last one ended: with the next seed.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.seeded.__main__ import main as seeded

_GRACE = 600.0
"""Seconds beyond its time after which a suite that does not end has failed."""
_NO_TESTS = 5  # pytest's status
_SEEDED = "seeded"


@dataclass(frozen=True, slots=True)
class Suite:
    """A selection of tests that gains by more of it.

    One that `counts` knows tests/effort.py: it takes its time from there and shows figures. Any
    other is repeated with the next seed until the time is up.
    """

    what: str
    selection: tuple[str, ...]
    counts: bool = True


SUITES = {
    "lives": Suite(
        "generated lives of 200 steps against a model: faults, crashes, rivals, ended keys",
        ("-m", "reliability", "tests/model/test_model.py"),
    ),
    "rivals": Suite(
        "another client that writes and removes the same objects",
        ("-m", "reliability", "tests/model/test_foreign.py"),
    ),
    "hosts": Suite(
        "two hosts that edit the same names and crash, on the model",
        ("-m", "reliability", "tests/model/test_two_hosts.py"),
    ),
    "mounts": Suite(
        "two real mounts of one prefix that edit the same names",
        ("-m", "reliability", "tests/mount/test_two_mounts.py"),
    ),
    "crowds": Suite(
        "many tasks at work on one file, in every order that a seed brings",
        ("-m", "reliability", "tests/model/test_concurrent.py"),
    ),
    "crashes": Suite(
        "a crash at every request and journal entry, and again at every one of its recovery",
        ("-m", "reliability", "tests/model/test_crashpoints.py"),
    ),
    "power": Suite(
        "the power fails at every request and journal entry; what was not synced is gone",
        ("-m", "reliability", "tests/model/test_powercut.py"),
    ),
    "power-disk": Suite(
        "the power of a real ext4 and xfs fails while files are closed (root, xfsprogs)",
        ("-m", "reliability", "tests/fs/test_power_cuts.py"),
    ),
    "bad-disk": Suite(
        "each operation on the spool and the journal fails once, with EIO and with ENOSPC",
        ("-m", "reliability", "tests/fs/test_bad_disk.py"),
        counts=False,
    ),
    "damage": Suite(
        "journals with flipped bytes, holes and lost tails: every closed file arrives",
        ("-m", "reliability", "tests/fs/test_damaged_journal.py"),
    ),
    "full-disk": Suite(
        "a disk of its own, full to any degree (root)",
        ("-m", "reliability", "tests/fs/test_full_disk.py"),
    ),
    "kills": Suite(
        "kill -9 of the real process at random moments under real work",
        ("-m", "reliability", "tests/mount/test_random_kills.py"),
    ),
    "leaving": Suite(
        "files are copied and the mount is left, in every combination; read from elsewhere",
        ("-m", "reliability", "tests/mount/test_leaving_matrix.py"),
    ),
    "fio": Suite(
        "fio with checksums, sequential, random and mapped; verified through an empty cache too",
        ("-m", "reliability", "tests/mount/test_fio.py"),
    ),
    "soak": Suite(
        "mixed work in bad weather; the process must not grow, nothing may stay behind",
        ("-m", "reliability", "tests/mount/test_soak.py"),
    ),
    "exerciser": Suite(
        "one file on a real mount: random writes, maps, appends, truncates, byte by byte",
        ("-m", "reliability", "tests/mount/test_exercised.py", "-k", "holds_what"),
    ),
    "python": Suite(
        "CPython's own tests of files, with their temporary directory in a mount",
        ("-m", "reliability", "tests/mount/test_python_itself.py"),
    ),
    "twins": Suite(
        "the same calls on a mount and on tmpfs, every answer and the whole tree compared",
        ("-m", "reliability", "tests/mount/test_like_tmpfs.py"),
    ),
    "network": Suite(
        "every operation of S3 meets every fault of a network, over real HTTP",
        ("-m", "reliability", "tests/reliability/test_network_matrix.py"),
    ),
    "properties": Suite(
        "the hypothesis tests of the pure modules, other examples in each round",
        ("-m", "hypothesis", "tests/unit"),
        counts=False,
    ),
    "reliability": Suite("all of scripts/test-reliability", ("-m", "reliability")),
    "kernel-facts": Suite(
        "the pinned facts of kernel and pyfuse3, to find an unsteady one",
        ("tests/mount/test_kernel_facts.py",),
        counts=False,
    ),
}


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for."""

    name: str
    minutes: float
    rounds: int
    seed: int

    @property
    def suite(self) -> Suite:
        """The suite of that name."""
        return SUITES[self.name]


def run_suite(order: Order) -> int:
    """Run a suite until its time is up, its rounds are done or it fails; return the status."""
    end = time.monotonic() + order.minutes * 60
    seed = order.seed
    while seed == order.seed or (not order.suite.counts and time.monotonic() < end):
        status = _run(order, seed, max(1.0, end - time.monotonic()))
        if status == _NO_TESTS:
            print(f"test-long: the suite {order.name} has no tests; nothing was proved.")
            return 1
        if status != 0:
            print(
                f"test-long: failed; repeat it with: scripts/test-long {order.name} --seed {seed}"
            )
            return 1
        seed += 1
    print(f"test-long: {order.name} passed with the seeds {order.seed} to {seed - 1}.")
    print(f"test-long: go on with: scripts/test-long {order.name} --seed {seed}")
    return 0


def _run(order: Order, seed: int, seconds: float) -> int:
    """Run pytest once; return its status."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rs", f"--seed={seed}"]
    command += [f"--hypothesis-seed={seed}", *order.suite.selection]
    if order.suite.counts:
        amount = f"--rounds={order.rounds}" if order.rounds else f"--minutes={seconds / 60}"
        command.append(amount)
    limit = None if order.rounds else seconds + _GRACE
    with subprocess.Popen(command) as process:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            print("test-long: the suite does not end; it was stopped.")
            process.terminate()
            return 1


def main(arguments: Sequence[str]) -> int:
    """Read the command line and run what it names."""
    known = {name: suite.what for name, suite in SUITES.items()}
    known[_SEEDED] = "twelve bugs, one at a time, must be caught by the suites (docs/DESIGN.md)"
    names = "\n".join(f"  {name:14} {what}" for name, what in known.items())
    parser = argparse.ArgumentParser(
        prog="scripts/test-long",
        description="Run one suite for longer than a submission may.",
        epilog=f"suites:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = [*sorted(SUITES), _SEEDED]
    parser.add_argument("suite", nargs="?", choices=choices, metavar="SUITE")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument("--rounds", type=int, default=0, help="how often, instead of how long")
    parser.add_argument("--seed", type=int, default=1, help="decides everything random (1)")
    parser.add_argument("--list", action="store_true", help="name the suites")
    options = parser.parse_args(arguments)
    if options.list or options.suite is None:
        print(names)
        return 0 if options.list else 2
    if options.suite == _SEEDED:
        return seeded([f"--seed={options.seed}"])
    return run_suite(Order(options.suite, options.minutes, options.rounds, options.seed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
