"""The real command line over a bucket, in directories of its own, for one measurement."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import S3Server

_TICK = os.sysconf("SC_CLK_TCK")
ROOT = "bench/"
"""The prefix that is mounted."""

_DEADLINE = 600.0


@dataclass(frozen=True, slots=True)
class Mounted:
    """A mount and its daemon."""

    path: Path
    pid: int

    def cpu_seconds(self) -> float:
        """Return the daemon's CPU time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    def peak_rss(self) -> int:
        """Return the daemon's peak resident memory in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@contextmanager
def mounted(server: S3Server, bucket: str, directory: Path, *options: str) -> Iterator[Mounted]:
    """Mount the bucket freshly, with nothing cached; unmount when the block ends."""
    mountpoint = directory / "mnt"
    mountpoint.mkdir(parents=True)
    environment = _configure(server, bucket, directory)
    _run(environment, "mount", os.fspath(mountpoint), *options)
    try:
        told = json.loads(_run(environment, "status", "--json"))
        yield Mounted(mountpoint, int(told["mounts"][0]["pid"]))
    finally:
        _run(environment, "umount", os.fspath(mountpoint))


def _configure(server: S3Server, bucket: str, directory: Path) -> dict[str, str]:
    """Write a profile whose keys come from a command; return the environment that names it."""
    keys = directory / "keys.json"
    keys.touch(mode=0o600)
    keys.write_text(
        json.dumps(
            {
                "Version": 1,
                "AccessKeyId": server.access_key,
                "SecretAccessKey": server.secret_key,
            }
        )
    )
    config = directory / "config.toml"
    config.write_text(
        "[profiles.default]\n"
        f'region = "{server.region}"\nbucket = "{bucket}"\nroot = "{ROOT}"\n'
        f'endpoint_url = "{server.endpoint}"\ncredential_process = "cat {keys}"\n'
    )
    places = {f"XDG_{name}_HOME": os.fspath(directory / name) for name in ("STATE", "CACHE")}
    runtime = directory / "run"
    runtime.mkdir(mode=0o700)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "COGNITOFS_"))}
    return {
        **kept,
        **places,
        "COGNITOFS_CONFIG": os.fspath(config),
        "XDG_RUNTIME_DIR": os.fspath(runtime),
        "NO_PROXY": "127.0.0.1",
    }


def _run(environment: dict[str, str], *arguments: str) -> str:
    program = Path(sys.executable).with_name("cognitofs")
    done = subprocess.run(
        [program, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
        text=True,
        timeout=_DEADLINE,
    )
    if done.returncode != 0:
        raise RuntimeError(f"cognitofs {arguments[0]} ended with {done.returncode}.")
    return done.stdout
