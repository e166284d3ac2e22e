"""A person's machine for one test: a home of its own, the real command, and its mounts.

Everything lies below one directory: configuration, XDG directories, state, cache, mountpoints. The
keys come from a `credential_process`, so no Cognito is needed. `close` ends every mount and every
process that the test left, whatever state they are in.

Waiting is for conditions, each with a deadline that only a failing test reaches (`until`).
"""

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from cognitofs.control import MountStatus
from cognitofs.mounts import live_mounts
from cognitofs.mounttable import mount_at
from tests.servers import S3Server

PATIENCE = 30.0
"""Seconds after which a condition that never comes fails the test; no passing test waits it out."""

ROOT = "home/ada/"
"""The prefix that profiles of `configure` mount, unless told otherwise."""

COMMAND = (sys.executable, "-P", "-m", "cognitofs")

MIB = 1 << 20

_T = TypeVar("_T")


def noise(size: int, seed: int = 1) -> bytes:
    """Return bytes that look random and are the same every time."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


def until(condition: Callable[[], _T], what: str, seconds: float = PATIENCE) -> _T:
    """Return the first true value of *condition*; fail when *what* does not come in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.02)
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process still does anything; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_fuse_usable() -> bool:
    """Tell whether this machine lets us mount."""
    return os.access("/dev/fuse", os.R_OK | os.W_OK)


class Mount:
    """One mount that was made by the command line, and its daemon."""

    def __init__(self, machine: "Machine", path: Path, pid: int, said: str) -> None:
        self.machine = machine
        self.path = path
        self.pid = pid
        self.said = said
        self._pidfd = os.pidfd_open(pid)

    def status(self) -> dict:
        """Return what `status --json` would say of it, without the cost of a command."""
        found = [each for each in self.machine.live() if each.pid == self.pid]
        assert len(found) == 1, f"process {self.pid} does not answer"
        return asdict(found[0])

    def leave(self) -> None:
        """Unmount as anybody does: fusermount3, which waits for nobody."""
        subprocess.run(["fusermount3", "-u", self.path], check=True, timeout=PATIENCE)

    def signal(self, number: int) -> None:
        """Send a signal to the daemon."""
        signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Kill the daemon as a power cut would: SIGKILL; return when it is gone."""
        self.signal(signal.SIGKILL)
        self.wait_gone()

    def wait_gone(self, seconds: float = PATIENCE) -> None:
        """Return when the daemon has ended."""
        assert self._ends_within(seconds), f"process {self.pid} did not end"

    def is_gone(self) -> bool:
        """Tell whether the daemon has ended."""
        return self._ends_within(0)

    def _ends_within(self, seconds: float) -> bool:
        waiting = select.poll()  # select() knows no descriptor above 1023, and a long run has them
        waiting.register(self._pidfd, select.POLLIN)
        return bool(waiting.poll(seconds * 1000))

    def peak_rss(self) -> int:
        """Return the daemon's largest resident size so far, in bytes (VmHWM)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def close(self) -> None:
        """End whatever is left of it."""
        if not self.is_gone():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
            self.wait_gone()
        os.close(self._pidfd)


class Machine:
    """One person's home and the `cognitofs` command in it; *wrapper* runs before each command."""

    def __init__(self, directory: Path, *, wrapper: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.cloud = self.home / "cloud"
        self.wrapper = wrapper
        self._mounts: list[Mount] = []
        self._mountpoints: set[Path] = set()
        runtime = directory / "run"
        self.home.mkdir()
        runtime.mkdir(mode=0o700)
        foreign = ("AWS_", "COGNITOFS_", "XDG_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        self.environ = kept | {
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(runtime),
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.home / ".config" / "cognitofs" / "config.toml"

    @property
    def state(self) -> Path:
        """The state directory of all mounts."""
        return self.home / ".local" / "state" / "cognitofs"

    def lost_found(self) -> list[Path]:
        """Return the files in the lost+found directories."""
        return [path for path in self.state.glob("mounts/*/lost+found/**/*") if path.is_file()]

    def configure(
        self, server: S3Server, bucket: str, *, endpoint: str = "", root: str = ROOT, **more: object
    ) -> None:
        """Write a profile for *bucket* of *server*; its keys come from a command."""
        keys = {
            "Version": 1,
            "AccessKeyId": server.access_key,
            "SecretAccessKey": server.secret_key,
        }
        path = self.directory / "keys.json"
        path.write_text(json.dumps(keys))
        path.chmod(0o600)
        table = {
            "region": server.region,
            "bucket": bucket,
            "root": root,
            "endpoint_url": endpoint or server.endpoint,
            "credential_process": f"cat {path}",
            # A call that waits for S3 in vain ends before the test's own patience.
            "stall_timeout": PATIENCE / 2,
            "read_timeout": PATIENCE / 2,
            **more,
        }
        self.config.parent.mkdir(parents=True, exist_ok=True)
        lines = (f"{key} = {json.dumps(value)}" for key, value in table.items())
        self.config.write_text("\n".join(("[profiles.default]", *lines, "")))
        self.config.chmod(0o600)

    def run(
        self,
        *arguments: object,
        stdin: str = "",
        environ: Mapping[str, str] | None = None,
        seconds: float = PATIENCE,
    ) -> "subprocess.CompletedProcess[str]":
        """Run `cognitofs ARGUMENTS` to its end, as from a script: without a terminal."""
        return subprocess.run(
            [*self.wrapper, *COMMAND, *map(str, arguments)],
            env={**self.environ, **(environ or {})},
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def live(self) -> list[MountStatus]:
        """Return what the processes of all mounts say."""
        return [each.status for each in live_mounts(self.state, self.environ)]

    def status(self) -> list[dict]:
        """Return the mounts of `status --json`."""
        done = self.run("status", "--json")
        assert done.returncode in (0, 4), done.stderr
        mounts: list[dict] = json.loads(done.stdout)["mounts"]
        return mounts

    def mount(self, *options: object, path: Path | None = None) -> Mount:
        """Mount by the command line, which must succeed."""
        path = path or self.cloud
        self._mountpoints.add(path)
        done = self.run("mount", path, *options)
        assert done.returncode == 0, f"{done.stderr}\n{self.log()}"
        found = [each for each in self.live() if each.mountpoint == str(path) and each.mounted]
        assert len(found) == 1, found
        mount = Mount(self, path, found[0].pid, done.stdout + done.stderr)
        self._mounts.append(mount)
        return mount

    @contextmanager
    def mounted(self, *options: object) -> Iterator[Mount]:
        """Mount for a block; leave it with everything sent."""
        mount = self.mount(*options)
        yield mount
        mount.leave()
        mount.wait_gone()

    @contextmanager
    def foreground(self, *options: object) -> Iterator["subprocess.Popen[str]"]:
        """Run `mount --foreground` for a block, which begins when the mount answers."""
        self._mountpoints.add(self.cloud)
        with (
            (self.directory / "foreground.log").open("w") as log,
            subprocess.Popen(
                [*self.wrapper, *COMMAND, "mount", "--foreground", self.cloud, *map(str, options)],
                env=self.environ,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                assert "is mounted at" in process.stdout.readline()
                yield process
            finally:
                process.kill()

    def log(self) -> str:
        """Return the logs of all mounts."""
        found = [*self.state.glob("logs/*"), self.directory / "foreground.log"]
        return "\n".join(path.read_text() for path in found if path.exists())

    def close(self) -> None:
        """End all mounts and their processes."""
        for mount in self._mounts:
            mount.close()
        for path in self._mountpoints:
            while mount_at(path) is not None:
                subprocess.run(["umount", "-l", path], check=True, timeout=PATIENCE)


def assert_refused(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    """Assert that a command failed with *code* and one sentence, on stderr, with *words* in it."""
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert done.returncode == code, said
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.strip()[-1] in ".?", done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
