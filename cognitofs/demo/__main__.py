"""`python -m cognitofs.demo`, which `scripts/demo` calls: reads the arguments, says failures."""

import argparse
import os
import sys
from pathlib import Path

from cognitofs.demo import check, cloud, tour
from cognitofs.demo.place import Place, usual_place
from cognitofs.errors import CognitoFSError

_EPILOG = "Without an option: bring the demo up, or use it as it runs, and tell what to do with it."


def main(arguments: list[str]) -> int:
    """Run the demo as *arguments* ask and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except CognitoFSError as exc:
        sys.stdout.flush()
        sys.stderr.write(f"demo: {exc}\n")
        return 1
    except BrokenPipeError:  # `| head`: nobody reads on, and nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.stderr.write("\ndemo: interrupted; ./scripts/demo goes on, --stop ends what runs.\n")
        return 130
    return 0


def _run(options: argparse.Namespace) -> None:
    place: Place = usual_place()
    if options.serve is not None:
        cloud.serve(Place(options.serve))
    elif options.check:
        check.check()
    elif options.stop:
        tour.stop(place)
    elif options.objects:
        tour.objects(place)
    else:
        # Only the parent is resolved: the mountpoint may be a dead mount, which cannot be asked.
        tour.start(place, options.directory.parent.resolve() / options.directory.name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./scripts/demo",
        description="Show cognitofs on a cloud of its own: sign in, mount, write, read.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=Path.home() / "cloud",
        help="where to mount (default: ~/cloud)",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--stop", action="store_true", help="unmount, end the cloud, clean up")
    choice.add_argument(
        "--check", action="store_true", help="do it all in a temporary directory and verify it"
    )
    choice.add_argument("--objects", action="store_true", help="list the objects with plain boto3")
    choice.add_argument("--serve", type=Path, metavar="BASE", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
