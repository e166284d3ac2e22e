"""`scripts/test-long seeded`: puts each of the bugs into a copy of the package and runs its suite.

A suite that passes with a bug in the package is worthless for it, and the run has failed. So it has
when a suite fails without one.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.seeded.bugs import BUGS, Bug

TOP = Path(__file__).parents[2]
COPIED = ("cognitofs", "tests", "pyproject.toml", "docs", "README.md", "scripts")
_FAILED = 1  # pytest's status when tests failed; others mean that none ran
_SECONDS = 900.0


def main(arguments: Sequence[str]) -> int:
    """Run all bugs, or those whose numbers are given."""
    parser = argparse.ArgumentParser(prog="scripts/test-long seeded")
    parser.add_argument("numbers", nargs="*", type=int, help="of the list, from 1; all if none")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    chosen = options.numbers or range(1, len(BUGS) + 1)
    sound: dict[tuple[str, ...], bool] = {}
    caught = 0
    for number in chosen:
        bug = BUGS[number - 1]
        if bug.suite not in sound:
            sound[bug.suite] = _status(None, options.seed, bug.suite)[0] == 0
        status, words = _status(bug, options.seed, bug.suite)
        is_caught = sound[bug.suite] and status == _FAILED
        caught += is_caught
        verdict = "caught" if is_caught else f"NOT CAUGHT (status {status})"
        print(f"{number:2} {bug.name}: {verdict} {words}", flush=True)
    print(f"seeded: {caught}/{len(chosen)} caught (seed {options.seed})")
    return 0 if caught == len(chosen) else 1


def _status(bug: Bug | None, seed: int, suite: tuple[str, ...]) -> tuple[int, str]:
    """Run *suite* over a copy with *bug* in it; return pytest's status and its verdict."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cognitofs-seeded-") as directory:
        top = Path(directory)
        _copy(top)
        for change in bug.changes if bug is not None else ():
            path = top / "cognitofs" / change.file
            source = path.read_text()
            if source.count(change.old) != 1:
                raise SystemExit(f"seeded: the bug {bug.name!r} no longer fits {change.file}.")
            path.write_text(source.replace(change.old, change.new))
        done = _pytest(top, seed, suite)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    words = failed[0].split("::")[-1].split(" - ")[0] if failed else ""
    if bug is None and done.returncode:
        print(f"seeded: {' '.join(suite)} fails without any bug:\n{done.stdout[-2000:]}")
    return done.returncode, f"by {words} in {time.monotonic() - began:.0f} s"


def _copy(top: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source = TOP / name
        if source.is_dir():
            shutil.copytree(source, top / name, ignore=ignored)
        else:
            shutil.copy(source, top / name)


def _pytest(top: Path, seed: int, suite: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(top)}
    check = "import cognitofs, sys; sys.exit(not cognitofs.__file__.startswith(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", check, str(top)], cwd=top, env=environment, check=True)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not reliability"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", f"--seed={seed}", *suite],
        cwd=top,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
