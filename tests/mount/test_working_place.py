"""A mount as the place where one works: this project's own tree, used by everyday commands."""

import sys
from pathlib import Path

import pytest

from tests.mount.commands import differences, facts, needs, run, sums
from tests.mount.conftest import new_bucket
from tests.mount.mounted import PATIENCE, is_fuse_usable

pytestmark = [
    pytest.mark.mount,
    pytest.mark.reliability,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

PROJECT = Path(__file__).parents[2]
LONG = 10 * PATIENCE


@needs("git")
def test_the_projects_own_tree_is_cloned_built_searched_copied_and_removed(machine, strict_s3):
    """On the strict server, which loses no directory: not one object may be left."""
    bucket = new_bucket(strict_s3)
    machine.configure(strict_s3, bucket.name)
    source, back = machine.directory / "source", machine.directory / "back"
    run("git", "clone", "-q", "--depth", "1", f"file://{PROJECT}", source, seconds=LONG)
    with machine.mounted("--sync", "fsync") as mount:
        work = mount.path / "work"
        run("git", "clone", "-q", "--no-local", source, work, seconds=LONG)
        run("diff", "-r", "--exclude=.git", source, work, seconds=LONG)
        assert run("git", "-C", work, "status", "--porcelain", seconds=LONG) == ""
        run(sys.executable, "-m", "compileall", "-q", work / "cognitofs", seconds=LONG)
        assert run("grep", "-rl", "Exerciser", work / "tests", seconds=LONG).count("\n") >= 2
        found = run("find", work, "-type", "f", "-name", "*.pyc", seconds=LONG).splitlines()
        assert len(found) == len(list((source / "cognitofs").rglob("*.py")))
        assert int(run("du", "-s", "--apparent-size", "-B1", work, seconds=LONG).split()[0]) > 10**6
        run("cp", "-a", work, back, seconds=LONG)
        run("diff", "-r", "--no-dereference", work, back, seconds=LONG)
        assert differences(facts(work), facts(back)) == {}
        run("rm", "-rf", work, seconds=LONG)
        assert list(mount.path.iterdir()) == []
    assert bucket.paths(markers=True) == set()
    assert sums(back / "cognitofs").keys() > sums(source / "cognitofs").keys()
