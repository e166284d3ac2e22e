"""The log: where it goes, and what may never be in it.

Owns the set-up of Python's logging for every command, and the redaction of secrets.

INVARIANT: every line of every handler set up here passes `redact`, tracebacks included; control
characters of file names cannot forge a line.
"""

import logging
import logging.handlers
import os
import re
import sys
from pathlib import Path
from typing import TextIO

from cognitofs.safefiles import open_private, private_directory

# botocore prints the Authorization header, the session token and whole answers at DEBUG and calls
# that by design (boto/botocore#2626); the others print URLs, whose queries may hold signatures.
CLAMPED = ("botocore", "boto3", "s3transfer", "urllib3", "awscrt", "pyfuse3")
ROTATE_BYTES = 5 << 20
ROTATED_FILES = 3

_HIDDEN = "[redacted]"
_NAMES = (
    r"token|secret|password|passwd|passphrase|signature|authorization|credential|session|"
    r"code_verifier|secret_?access_?key|aws_secret_access_key|cookie"
)
_PATTERNS = (
    # JWT and JWE: a JSON object in base64url, then more of the same between dots (RFC 7515, 7516).
    re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"),
    # Ids of long-term (AKIA) and temporary (ASIA) keys.
    re.compile(r"\bA[SK]IA[0-9A-Z]{16}\b"),
    # Session tokens of STS begin with one of these (observed, not documented).
    re.compile(r"\b(?:IQoJ|FwoG|FQoG|AgoJ|AYAB)[A-Za-z0-9+/=_%-]{20,}"),
    re.compile(r"(?i)\bbearer\s+\S+"),
)
# NAME=value, "Name": "value", 'name': b'value', name: value
_NAMED = re.compile(
    rf"""(?ix)
    ( [\w-]* (?:{_NAMES}) [\w-]* ["']? \s* [:=]\s* (?:AWS4-HMAC-SHA256\s+\w+\s*=\s*)? )
    ( b?"(?:[^"\\]|\\.)*" | b?'(?:[^'\\]|\\.)*' | [^\s,;&)\]}}"']+ )
    """
)


def redact(text: str) -> str:
    """Return *text* with everything that looks like a secret replaced."""
    for pattern in _PATTERNS:
        text = pattern.sub(_HIDDEN, text)
    return _NAMED.sub(rf"\1{_HIDDEN}", text)


class RedactingFormatter(logging.Formatter):
    """Formats a record and redacts the whole of it, its traceback too."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s [%(name)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the finished text of *record*, without secrets."""
        return redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        """Return the line of *record*; a newline in a file name stays within it."""
        return "".join(
            each if each.isprintable() else each.encode("unicode_escape").decode()
            for each in super().formatMessage(record)
        )


class PrivateFileHandler(logging.handlers.RotatingFileHandler):
    """A rotating log, mode 0600, never through a symlink.

    With *takes_stderr* the process's stderr goes along, so that a crash of the interpreter itself
    is in the newest file.
    """

    def __init__(self, path: Path, *, takes_stderr: bool = False) -> None:
        self._takes_stderr = takes_stderr
        super().__init__(
            path, maxBytes=ROTATE_BYTES, backupCount=ROTATED_FILES, encoding="utf-8", delay=True
        )
        self.setFormatter(RedactingFormatter())

    def _open(self) -> TextIO:  # type: ignore[override]  # typeshed asks for TextIOWrapper's guts
        private_directory(Path(self.baseFilename).parent)
        descriptor = open_private(Path(self.baseFilename), os.O_WRONLY | os.O_APPEND)
        if self._takes_stderr:
            os.dup2(descriptor, 2)
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")


def set_up(level: str, handler: logging.Handler) -> None:
    """Send everything from *level* ("debug" ... "error") up to *handler*, and nowhere else."""
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    handler.setFormatter(RedactingFormatter())
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in CLAMPED:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a log that cannot be written must not print tracebacks


def terminal() -> logging.Handler:
    """Return the handler of a mount in the foreground: stderr."""
    return logging.StreamHandler(sys.stderr)


def writes_to_file() -> bool:
    """Return whether the log is a file, where a traceback may go."""
    return any(isinstance(each, PrivateFileHandler) for each in logging.getLogger().handlers)


def last_lines(path: Path, count: int = 1) -> tuple[str, ...]:
    """Return the last *count* lines of the log, redacted; none when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - (16 << 10)))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ()
    return tuple(redact(line) for line in lines if line.strip())[-count:]
