"""`scripts/test-long`: runs one suite over and over, each round with the next seed.

A seed decides everything random of a round (hypothesis takes it, and COGNITOFS_TEST_SEED holds it
for suites that draw by themselves), so a failure is repeated by naming the seed that is printed,
and a night goes on where the last one ended.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

_CUT_OFF = 124  # what timeout(1) would say; pytest's own statuses end at 5
_NO_TESTS = 5


@dataclass(frozen=True, slots=True)
class Suite:
    """A selection of tests that gains by repetition."""

    what: str
    selection: tuple[str, ...]


SUITES = {
    "properties": Suite(
        "the hypothesis tests of the pure modules, other examples in each round",
        ("-m", "hypothesis", "tests/unit"),
    ),
    "reliability": Suite("what scripts/test-reliability runs", ("-m", "reliability")),
    "kernel-facts": Suite(
        "the pinned facts of kernel and pyfuse3, to find an unsteady one",
        ("tests/mount/test_kernel_facts.py",),
    ),
}


def run_suite(name: str, minutes: float, first_seed: int) -> int:
    """Run rounds of a suite until the time is up or one fails; return the exit status."""
    end = time.monotonic() + minutes * 60
    seed = first_seed
    while (left := end - time.monotonic()) > 0:
        status = _round(SUITES[name], seed, left)
        if status == _CUT_OFF:
            break
        if status == _NO_TESTS:
            print(f"test-long: the suite {name} has no tests yet; nothing was proved.")
            return 0
        if status != 0:
            print(f"test-long: failed; repeat it with: scripts/test-long {name} --seed {seed}")
            return 1
        seed += 1
    print(f"test-long: {seed - first_seed} rounds of {name} passed, from seed {first_seed}.")
    print(f"test-long: go on with: scripts/test-long {name} --seed {seed}")
    return 0


def _round(suite: Suite, seed: int, seconds: float) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-x", f"--hypothesis-seed={seed}"]
    environment = os.environ | {"COGNITOFS_TEST_SEED": str(seed)}
    with subprocess.Popen([*command, *suite.selection], env=environment) as process:
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            return _CUT_OFF


def main(arguments: Sequence[str]) -> int:
    """Read the command line and run what it names."""
    parser = argparse.ArgumentParser(prog="scripts/test-long")
    parser.add_argument("suite", nargs="?", choices=sorted(SUITES))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="name the suites")
    options = parser.parse_args(arguments)
    if options.list or options.suite is None:
        print("\n".join(f"{name:14} {suite.what}" for name, suite in sorted(SUITES.items())))
        return 0 if options.list else 2
    return run_suite(options.suite, options.minutes, options.seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
