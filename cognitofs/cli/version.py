"""`cognitofs version`: what a bug report needs first."""

import json
import platform
from importlib import metadata

from cognitofs import __version__
from cognitofs.cli.options import JsonOption
from cognitofs.cli.output import say

_LIBRARIES = ("pyfuse3", "trio", "boto3", "awscrt", "urllib3", "apsw")


def version(*, as_json: JsonOption = False) -> None:
    """Print the versions of cognitofs and of what it stands on."""
    found = versions()
    if as_json:
        say(json.dumps(found, indent=2))
        return
    for name, number in found.items():
        say(f"{name} {number}")


def versions() -> dict[str, str]:
    """Return name and version, cognitofs first; a missing library is shown as such."""
    return {
        "cognitofs": __version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        **{name: _installed(name) for name in _LIBRARIES},
    }


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
