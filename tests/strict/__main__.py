"""Run the strict server until standard input ends: `python -m tests.strict` prints its URL."""

import sys

from tests.strict.server import running

with running() as server:
    print(server.endpoint, flush=True)
    sys.stdin.read()
