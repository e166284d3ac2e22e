"""Developers work in a mount: git, make, pip, npm, archives, a log that is followed."""

import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.mount.commands import differences, facts, make_tree, needs, run, sums
from tests.mount.mounted import PATIENCE, is_fuse_usable, noise, until

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_fuse_usable(), reason="/dev/fuse cannot be opened here"),
]

ADA = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}


def git(work: Path, *words: object) -> str:
    """Run git in a work tree."""
    return run("git", "-C", work, *words, environ=ADA, seconds=4 * PATIENCE).strip()


def commit_often(work: Path, commits: int) -> None:
    """Make some commits, on a branch too, and merge it."""
    for number in range(commits):
        if number == 1:
            git(work, "checkout", "-q", "-b", "side")
        (work / f"file {number}").write_bytes(noise(2000, number))
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", f"Number {number}")
    git(work, "checkout", "-q", "main")
    git(work, "merge", "-q", "--no-ff", "-m", "Merge", "side")


@needs("git")
@pytest.mark.parametrize("level", ["close", pytest.param("local", marks=pytest.mark.reliability)])
def test_git_commits_packs_and_clones(machine, weed, level):
    tree = make_tree(machine.directory / "source", 10)
    with machine.mounted("--sync", level) as mount:
        work = mount.path / "work"
        git(mount.path, "init", "-q", "-b", "main", work)
        shutil.copytree(tree, work / "tree", symlinks=True)
        commit_often(work, 3)
        git(work, "gc", "-q", "--aggressive", "--prune=now")
        (work / "tree" / "new").write_text("new")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", "Behind the pack")
        git(mount.path, "clone", "-q", "--no-local", work, mount.path / "clone")
        git(work, "worktree", "add", "-q", mount.path / "other", "side")
        for each in (work, mount.path / "clone", mount.path / "other"):
            git(each, "fsck", "--strict")
            assert git(each, "status", "--porcelain") == ""
        head = git(work, "rev-parse", "HEAD")
    assert weed.get("work/.git/refs/heads/main").decode().strip() == head
    with machine.mounted("--sync", level) as mount:
        for name in ("work", "clone"):
            git(mount.path / name, "fsck", "--strict")
            assert git(mount.path / name, "status", "--porcelain") == ""
            assert git(mount.path / name, "rev-parse", "HEAD") == head
        git(machine.directory, "clone", "-q", mount.path / "clone", machine.directory / "out")
    out = machine.directory / "out" / "tree"
    assert {k: v for k, v in sums(out).items() if k != "new"} == sums(tree)


@needs("make")
@needs("cc")
def test_make_builds_only_what_is_out_of_date(machine, weed):
    with machine.mounted() as mount:
        work = mount.path / "work"
        work.mkdir()
        (work / "said.h").write_text("const char *said(void);\n")
        (work / "said.c").write_text('#include "said.h"\nconst char *said(void) {return "a";}\n')
        (work / "main.c").write_text(
            '#include <stdio.h>\n#include "said.h"\nint main(void) {return puts(said()) < 0;}\n'
        )
        (work / "Makefile").write_text(
            "main: main.o libsaid.a\n\t$(CC) -o $@ main.o -L. -lsaid\n"
            "libsaid.a: said.o\n\t$(AR) rcs $@ $^\n"
            "main.o said.o: said.h\n"
        )
        run("make", "-C", work)
        assert run(work / "main") == "a\n"
        assert "up to date" in run("make", "-C", work)
        time.sleep(0.02)  # make compares times that a disk may round to its tick
        source = (work / "said.c").read_text()
        (work / "said.c").write_text(source.replace('"a"', '"b"'))
        said = run("make", "-C", work)
        assert "said.o" in said
        assert "main.o main.c" not in said
        assert run(work / "main") == "b\n"
    with machine.mounted() as mount:
        assert "up to date" in run("make", "-C", mount.path / "work")
        assert run(mount.path / "work" / "main") == "b\n"


def make_wheel(directory: Path) -> Path:
    """Write a wheel of one package with a script; no build tool is needed for that."""
    info = "said-1.0.dist-info"
    files = {
        "said/__init__.py": "WORD = 'installed'\ndef main():\n    print(WORD)\n",
        "said/data.bin": "x" * 100_000,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: said\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nsaid = said:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    wheel = directory / "said-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


def test_pip_installs_a_package_that_can_be_imported(machine, weed):
    wheel = make_wheel(machine.directory)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index")
    with machine.mounted() as mount:
        target = mount.path / "packages"
        for more in ((), ("--upgrade",)):
            run(*pip, *more, "--target", target, wheel, seconds=4 * PATIENCE)
        environ = {"PYTHONPATH": str(target)}
        script = "import said; said.main()"
        assert run(sys.executable, "-c", script, environ=environ) == "installed\n"
        assert run(target / "bin" / "said", environ=environ) == "installed\n"
    assert weed.get("packages/said/data.bin") == b"x" * 100_000
    assert any(path.endswith(".pyc") for path in weed.paths())


@needs("npm")
def test_npm_installs_a_package_that_can_be_required(machine, weed):
    library = machine.directory / "library"
    library.mkdir()
    (library / "package.json").write_text('{"name": "said", "version": "1.0.0", "bin": "bin.js"}')
    (library / "index.js").write_text("module.exports = 'required';\n")
    (library / "bin.js").write_text("#!/usr/bin/env node\nconsole.log('run');\n")
    quiet = ("--offline", "--no-audit", "--no-fund", "--cache", machine.directory / "npm")
    with machine.mounted() as mount:
        work = mount.path / "work"
        work.mkdir()
        (work / "package.json").write_text('{"name": "work", "version": "1.0.0"}')
        run("npm", "install", *quiet, "--install-links", library, cwd=work, seconds=4 * PATIENCE)
        assert run("node", "-e", "console.log(require('said'))", cwd=work) == "required\n"
        assert run(work / "node_modules" / ".bin" / "said") == "run\n"
    assert weed.get("work/node_modules/said/index.js") == b"module.exports = 'required';\n"
    assert '"said"' in weed.get("work/package.json").decode()


@needs("zip")
@needs("unzip")
def test_zip_and_unzip_keep_a_tree(machine, weed):
    source = make_tree(machine.directory / "source", 20)
    with machine.mounted() as mount:
        packed = mount.path / "packed.zip"
        run("zip", "-q", "-r", "-y", packed, ".", cwd=source)
        run("zip", "-q", "-r", "-y", packed, ".", cwd=source)  # replaces what it finds in it
        run("unzip", "-q", packed, "-d", mount.path / "there")
        assert differences(timeless(source), timeless(mount.path / "there")) == {}
    assert weed.sums("there/") == sums(source)


def timeless(top: Path) -> dict[str, tuple]:
    """Return the facts below *top* without times, which zip keeps in whole seconds."""
    return {path: (mode, *more) for path, (mode, _, *more) in facts(top).items() if path != "."}


@needs("tail")
def test_tail_follows_a_log_that_grows(machine, weed):
    """Each line comes from a process of its own, which opens, appends and closes."""
    with machine.mounted() as mount:
        log = mount.path / "log"
        log.write_text("first\n")
        seen = machine.directory / "seen"
        with seen.open("wb") as output:
            tail = subprocess.Popen(["tail", "-n", "+1", "-F", "-s", "0.05", log], stdout=output)
        try:
            for number in range(5):
                run("sh", "-c", f"echo line {number} >> log", cwd=mount.path)
                until(lambda n=number: f"line {n}\n" in seen.read_text(), f"line {number}")
        finally:
            tail.kill()
            tail.wait()
    assert seen.read_text() == "first\n" + "".join(f"line {n}\n" for n in range(5))
    assert weed.get("log").decode() == seen.read_text()
