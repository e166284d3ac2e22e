"""The `cognitofs` command: its commands, and how every one of them ends.

Owns the registration and the last line of defence: whatever happens, the person reads one sentence
and a script gets a code of `exits.py`; a traceback goes to the log only.
"""

import errno
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cognitofs import __version__, logs, where
from cognitofs.cli.configure import configure
from cognitofs.cli.credentials import credentials
from cognitofs.cli.doctor import doctor
from cognitofs.cli.execute import execute
from cognitofs.cli.exits import Exit, exit_code
from cognitofs.cli.login import login
from cognitofs.cli.logout import logout
from cognitofs.cli.mount import mount
from cognitofs.cli.output import complain, drop_output, open_streams, say
from cognitofs.cli.policy import policy
from cognitofs.cli.recover import app as recover
from cognitofs.cli.refresh import refresh
from cognitofs.cli.service import service
from cognitofs.cli.status import status
from cognitofs.cli.sync import sync
from cognitofs.cli.umount import umount
from cognitofs.cli.version import version
from cognitofs.cli.whoami import whoami
from cognitofs.cli.why import why
from cognitofs.config import MountOptions
from cognitofs.errors import CognitoFSError

_log = logging.getLogger(__name__)

_EPILOG = (
    "Exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 not signed in, "
    "4 data pending or failed, 5 mountpoint busy, 6 another identity."
)

app = typer.Typer(
    name="cognitofs",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"cognitofs {__version__}")
        raise typer.Exit


@app.callback()
def _cognitofs(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Mount your part of an S3 bucket, with an Amazon Cognito sign-in.

    The first time:

      cognitofs configure

      cognitofs login

      cognitofs mount ~/cloud

    Then any program can use ~/cloud. Leave it with:

      cognitofs umount ~/cloud

    What a close() has acknowledged is on S3. `cognitofs COMMAND --help` shows each command's
    options with examples.
    """


for _command in (
    configure,
    login,
    logout,
    whoami,
    mount,
    umount,
    status,
    sync,
    refresh,
    why,
    credentials,
    policy,
    doctor,
    version,
):
    app.command()(_command)
app.add_typer(service, name="service")
app.add_typer(recover, name="recover")
# What follows the program's name belongs to the program.
app.command("exec", context_settings={"allow_interspersed_args": False})(execute)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line *arguments* (sys.argv's without the program) and exit with its code."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run the command line *arguments*; return the exit code, having said what went wrong."""
    open_streams()
    log = _command_log()
    logs.set_up("warning", logs.PrivateFileHandler(log))
    try:
        app(args=arguments, obj=arguments, prog_name="cognitofs")
    except SystemExit as exc:
        if exc.code == Exit.INTERRUPTED:
            complain("Interrupted.")
        return exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except CognitoFSError as exc:
        complain(str(exc))
        return exit_code(exc)
    except Exception as exc:  # noqa: BLE001 -- the last line of defence; logged with its traceback
        if isinstance(exc, OSError) and (cause := _cause(exc)):
            drop_output()
            complain(cause)
            return Exit.FAILURE
        if not logs.writes_to_file():  # a mount in the foreground logs to the terminal
            logs.set_up("warning", logs.PrivateFileHandler(log))
        _log.exception("A command ended in an unexpected way.")
        complain(
            f"This should not have happened ({type(exc).__name__}); the log under {log.parent} "
            "has the details: please report it with `cognitofs version`."
        )
        return Exit.FAILURE
    return Exit.OK


def _cause(exc: OSError) -> str:
    """Return what around us makes every command fail like that; "" when it is something else."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"Something could not be written ({exc.strerror}); make room and try again."
    try:
        os.getcwd()
    except OSError:
        return "The directory that you are in is gone; change to another one, or give whole paths."
    return ""


def _command_log() -> Path:
    """Return the log of all commands but `mount`; made when something is first written to it."""
    # Settled before options are read: what goes wrong with those is logged too.
    named = os.environ.get("COGNITOFS_STATE_DIR", "")
    base = Path(named) if named.startswith("/") else None
    return where.state_home(MountOptions(state_dir=base)) / "logs" / "commands.log"
