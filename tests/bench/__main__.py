"""`scripts/bench`: how long plain programs take over a mount, beside the raw client.

The two take turns on the same server, so that a slow moment of the machine meets both; the table
holds medians. Progress goes to standard error, the table (or with `--json` the rows) to standard
output.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests import servers
from tests.bench.fasts3 import fasts3, is_buildable, set_latency
from tests.bench.works import QUICK, WORKS, Ground, Measured, Sizes

_MIB = 1 << 20


@dataclass(slots=True)
class Row:
    """One work on one server: all its runs."""

    server: str
    latency_ms: int
    work: str
    what: str
    raw: list[Measured] = field(default_factory=list)
    cognitofs: list[Measured] = field(default_factory=list)


def tell(sentence: str) -> None:
    """Say how far it is."""
    print(f"bench: {sentence}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark as the arguments ask and print the result."""
    options = _parser().parse_args(arguments)
    sizes = _sizes(options)
    options.runs = options.runs or (1 if options.quick else 3)
    rows: list[Row] = []
    for server in options.servers:
        if server == "fasts3" and not is_buildable():
            tell("fasts3 is left out: there is no Go compiler (Debian: golang-go).")
            continue
        with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as name:
            directory = Path(name)
            rows += _on_server(server, directory, sizes, options)
    print(_as_json(rows, sizes) if options.json else _as_table(rows))
    return 0


def _on_server(
    name: str, directory: Path, sizes: Sizes, options: argparse.Namespace
) -> Iterator[Row]:
    with _running(name, directory) as server:
        ground = Ground(server, directory, sizes)
        tell(f"{name}: preparing {sizes}")
        ground.prepare()
        for latency in options.latency if name == "fasts3" else [0]:
            if name == "fasts3":
                set_latency(server, latency)
            rows = [Row(name, latency, work, WORKS[work].what(sizes)) for work in options.works]
            for number in range(options.runs):
                for row in rows:
                    _take_turns(row, ground, number)
            yield from rows


@contextmanager
def _running(name: str, directory: Path) -> Iterator[servers.S3Server]:
    with ExitStack() as stack:
        own = directory / "server"
        own.mkdir()
        yield stack.enter_context(fasts3(own) if name == "fasts3" else servers.seaweedfs(own))


def _take_turns(row: Row, ground: Ground, number: int) -> None:
    """Let both clients do the work once, the other one first in every second run."""
    work = WORKS[row.work]
    turns = [(row.raw, work.raw), (row.cognitofs, work.through_mount)]
    for results, do in turns if number % 2 == 0 else reversed(turns):
        results.append(do(ground))
    tell(
        f"{row.server} {row.latency_ms} ms, {row.work}: "
        f"raw {_seconds(row.raw[-1])} s, cognitofs {_seconds(row.cognitofs[-1])} s"
    )


def _median(runs: Sequence[Measured]) -> Measured:
    return Measured(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu for run in runs),
        max(run.rss for run in runs),
    )


def _as_table(rows: Sequence[Row]) -> str:
    table = Table("server", "latency", "work", "raw s (CPU)", "cognitofs s (CPU)", "ratio", "MiB")
    for row in rows:
        raw, own = _median(row.raw), _median(row.cognitofs)
        table.add_row(
            row.server,
            f"{row.latency_ms} ms",
            row.what,
            f"{_seconds(raw)} ({raw.cpu:.2f})",
            f"{_seconds(own)} ({own.cpu:.2f})",
            f"{own.seconds / raw.seconds:.1f}",
            f"{own.rss / _MIB:.0f}",
        )
    console = Console(width=130)
    with console.capture() as captured:
        console.print(table)
        console.print(
            "Medians of wall seconds and, in brackets, CPU seconds of the client's process; "
            "MiB is the daemon's largest resident size. `raw` sends no checksums."
        )
    return captured.get()


def _seconds(run: Measured) -> str:
    return f"{run.seconds:.2f}" if run.seconds >= 0.1 else f"{run.seconds:.4f}"


def _as_json(rows: Sequence[Row], sizes: Sizes) -> str:
    machine = {"cpus": os.cpu_count(), "kernel": os.uname().release, "python": sys.version}
    return json.dumps(
        {"machine": machine, "sizes": asdict(sizes), "rows": [asdict(row) for row in rows]},
        indent=1,
    )


def _sizes(options: argparse.Namespace) -> Sizes:
    usual = QUICK if options.quick else Sizes()
    return Sizes(
        options.big_mib or usual.big_mib,
        options.small_files or usual.small_files,
        options.listed_objects or usual.listed_objects,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one run")
    parser.add_argument("--runs", type=int, default=0, help="runs of each work (3; quick: 1)")
    parser.add_argument("--json", action="store_true", help="print every run as JSON")
    parser.add_argument(
        "--servers", nargs="+", choices=["fasts3", "seaweedfs"], default=["fasts3", "seaweedfs"]
    )
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument(
        "--latency", nargs="+", type=int, default=[0], metavar="MS", help="of fasts3, per request"
    )
    parser.add_argument("--big-mib", type=int, default=0, metavar="N")
    parser.add_argument("--small-files", type=int, default=0, metavar="N")
    parser.add_argument("--listed-objects", type=int, default=0, metavar="N")
    parser.add_argument(
        "--directory", type=Path, help="for sources, spool and SeaweedFS (default: TMPDIR)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
