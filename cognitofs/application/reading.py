"""From a file's name to the application that it configures."""

import os
from pathlib import Path

from cognitofs.application.application import Application
from cognitofs.application.forms import recognised
from cognitofs.application.literals import LARGEST_BYTES, documents
from cognitofs.errors import ConfigError


def read_application(path: Path) -> Application:
    """Return what the file *path* says; its content decides what it is, not its name.

    Raises ConfigError when it cannot be read, is of no known form, or contradicts itself.
    """
    return recognised(documents(_text(path), str(path)), str(path))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be read ({os.strerror(exc.errno or 0)}); correct its name."
        ) from exc
    if len(content) > LARGEST_BYTES:
        raise ConfigError(f"{path} is too large to be a configuration; correct its name.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8 text; correct its name.") from exc
