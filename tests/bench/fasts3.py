"""Builds and runs fasts3, the S3 stub of the benchmarks (see fasts3/main.go)."""

import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

from tests.servers import START_SECONDS, S3Server, ServerUnfit, free_ports

_SOURCE = Path(__file__).with_name("fasts3")


def is_buildable() -> bool:
    """Tell whether there is a Go compiler (Debian: golang-go)."""
    return shutil.which("go") is not None


@contextmanager
def fasts3(directory: Path) -> Iterator[S3Server]:
    """Build and run fasts3 on a free port. Latency is set later, by `set_latency`."""
    program = directory / "fasts3"
    subprocess.run(["go", "build", "-o", program, "."], cwd=_SOURCE, check=True, timeout=300)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with subprocess.Popen([program, "-addr", address]) as process:
        try:
            server = S3Server("fasts3", f"http://{address}", "any", "unchecked")
            _wait_for(server)
            yield server
        finally:
            process.terminate()


def set_latency(server: S3Server, milliseconds: int) -> None:
    """Make every request from now on wait so long before it is handled."""
    _get(f"{server.endpoint}/__lat?d={milliseconds}ms")


def _wait_for(server: S3Server) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            return _get(f"{server.endpoint}/__stats")
        except URLError as exc:
            if time.monotonic() > end:
                raise ServerUnfit("fasts3 did not start.") from exc
            time.sleep(0.02)


def _get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=10) as answer:
        answer.read()
