"""Options that several commands share, and where the commands find a person's mounts."""

from pathlib import Path
from typing import Annotated

import typer

from cognitofs import where
from cognitofs.config import MountOptions
from cognitofs.errors import ConfigError
from cognitofs.settings import load_settings

ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", "-p", metavar="NAME", help="Profile of the configuration to use."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Another configuration file."),
]
StateDirOption = Annotated[
    Path | None,
    typer.Option(
        "--state-dir", metavar="DIR", help="Where sign-ins, unsent files and logs are kept."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def absolute(path: Path | None) -> Path | None:
    """Return *path* as the person meant it where the command was typed."""
    return None if path is None else path.expanduser().absolute()


def state_base(profile: str | None, config: Path | None, state_dir: Path | None) -> Path:
    """Return the state directory that the person's mounts use.

    A broken configuration must not keep anybody from seeing or leaving a mount: without a
    profile or file named on the command line it is passed over. Raises ConfigError.
    """
    given = absolute(state_dir)
    try:
        settings = load_settings(profile, config, {"state_dir": given})
    except ConfigError:
        if profile or config:
            raise
        return where.state_home(MountOptions(state_dir=given))
    return where.state_home(settings.options)
