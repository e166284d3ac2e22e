"""`cognitofs exec`: run another program as the signed-in identity.

The keys stand neither in the program's arguments nor in its environment: it gets the name of a
private AWS configuration whose `credential_process` is `cognitofs credentials`, so a program that
runs for days asks for fresh keys by itself. Sources: AWS SDKs and Tools reference guide,
"Environment variables support" and "Process credential provider".

INVARIANT: no other credentials of the person (variables, ~/.aws, instance metadata) are within
reach: the wrong identity is worse than none.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cognitofs.auth.account import open_account
from cognitofs.cli.options import ConfigOption, ProfileOption, StateDirOption, absolute
from cognitofs.cli.output import complain
from cognitofs.config import Profile
from cognitofs.errors import ConfigError
from cognitofs.settings import load_settings

# As shells say it: found but not runnable, not found, ended by a signal.
_NOT_RUNNABLE, _NOT_FOUND, _SIGNALLED = 126, 127, 128

_OTHERS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)


def execute(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT]...", help="What to run.")
    ],
    *,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    state_dir: StateDirOption = None,
) -> None:
    """Run another program (the AWS CLI, anything with an AWS SDK) as your signed-in identity.

    Keys are renewed for as long as it runs. COGNITOFS_S3_URI in its environment says where your
    files are. Its exit code is passed on; 127: it was not found.

    For example:

      cognitofs exec -- sh -c 'aws s3 ls "$COGNITOFS_S3_URI"'

      cognitofs exec --profile work -- python3 report.py
    """
    state_dir = absolute(state_dir)
    settings = load_settings(profile, config, {"state_dir": state_dir})
    account = open_account(settings.profile, settings.state)  # says now if nobody is signed in
    source = absolute(settings.source) if settings.source.exists() else None
    options = {"--profile": profile, "--config": source, "--state-dir": state_dir}
    with _aws_directory(settings.profile, _process(options)) as directory:
        environ = _environment(os.environ, settings.profile, directory, account.s3_uri)
        code = _run(command, environ)
    raise typer.Exit(code)


def _process(options: Mapping[str, object]) -> str:
    """Return the command that prints keys, for `credential_process`."""
    # -P: a module of the working directory must not take a library's place.
    words = [sys.executable, "-P", "-m", "cognitofs", "credentials", "--format", "process"]
    words += [f"{name}={value}" for name, value in options.items() if value is not None]
    if any("\n" in word or "\r" in word for word in words):
        raise ConfigError("A path with a line break cannot be handed on; use another one.")
    return shlex.join(words)


@contextlib.contextmanager
def _aws_directory(profile: Profile, process: str) -> Iterator[Path]:
    """Make a private AWS configuration for as long as the program runs."""
    with tempfile.TemporaryDirectory(prefix="cognitofs-exec-") as name:  # mode 0700
        lines = [
            "[default]",
            f"credential_process = {process}",
            f"region = {profile.s3_region}",
            *([f"ca_bundle = {profile.ca_bundle}"] if profile.ca_bundle else []),
        ]
        directory = Path(name)
        for file, content in (("config", "\n".join(lines) + "\n"), ("credentials", "")):
            path = directory / file
            path.touch(mode=0o600)
            path.write_text(content)
        yield directory


def _environment(
    environ: Mapping[str, str], profile: Profile, directory: Path, s3_uri: str
) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in _OTHERS}
    own = {
        "AWS_CONFIG_FILE": str(directory / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
        "AWS_SDK_LOAD_CONFIG": "1",  # the first Go SDK reads the file only with it
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": profile.s3_region,
        "AWS_DEFAULT_REGION": profile.s3_region,
        "COGNITOFS_S3_URI": s3_uri,
    }
    endpoint = profile.endpoint("s3")
    return kept | own | ({"AWS_ENDPOINT_URL_S3": endpoint} if endpoint else {})


def _run(command: list[str], environ: Mapping[str, str]) -> int:
    """Run *command* to its end; signals that ask us to end are passed on."""
    with _relayed() as relay:
        try:
            process = subprocess.Popen(command, env=environ)
        except FileNotFoundError:
            complain(f"There is no program {command[0]!r}; check its name and PATH.")
            return _NOT_FOUND
        except OSError as exc:
            complain(f"{command[0]!r} cannot be run ({exc.strerror}); check the file.")
            return _NOT_RUNNABLE
        relay.attach(process)
        code = process.wait()
    return code if code >= 0 else _SIGNALLED - code


class _Relay:
    """Passes signals on to a program, also those that come before it runs."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def attach(self, process: "subprocess.Popen[bytes]") -> None:
        """Name the program that is meant."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def pass_on(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


def _leave_to_the_program(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: what is typed at the terminal reaches the program by itself."""


@contextlib.contextmanager
def _relayed() -> Iterator[_Relay]:
    """Relay signals in the block. Handlers are not inherited; ignored signals would be."""
    relay = _Relay()
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
        signal.SIGTERM: relay.pass_on,
        signal.SIGHUP: relay.pass_on,
        signal.SIGINT: _leave_to_the_program,
        signal.SIGQUIT: _leave_to_the_program,
    }
    former = {each: signal.signal(each, handler) for each, handler in handlers.items()}
    try:
        yield relay
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
