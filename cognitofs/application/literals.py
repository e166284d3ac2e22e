"""The text of an application's configuration as plain data: JSON, JavaScript or Dart.

Owns finding the one literal that is meant in a file of program text. Runs nothing: values that a
program would compute (`process.env.X`) are an error. What the keys mean is `forms.py`.
"""

import json
import re
from collections.abc import Iterator, Mapping

import json5

from cognitofs.errors import ConfigError

Document = Mapping[str, object]

LARGEST_BYTES = 4 << 20
"""Amplify's files with all models of a large application have some 100 kB."""

# Where an object literal is a value: behind "=", "(", "export default", "module.exports =".
_OBJECT = re.compile(r"(?:=|\(|\bdefault|\breturn)\s*(?=\{)")
# Dart keeps JSON in a multi-line string, in which "\$" stands for "$" unless it is raw.
_DART = re.compile(r"(r?)('''|\"\"\")\s*(\{.*?\})\s*\2", re.DOTALL)


def documents(text: str, name: str) -> Iterator[Document]:
    """Yield each object that *text* may mean, the likeliest first; *name* is for complaints.

    Raises ConfigError when there is none.
    """
    whole = _json(text)
    if whole is not None:
        yield whole
        return
    found = [*_dart(text), *_literals(text)]
    readable = [each for each in found if not isinstance(each, str)]
    if not readable:
        raise ConfigError(_sentence(name, [each for each in found if isinstance(each, str)]))
    yield from readable


def _json(text: str) -> Document | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _dart(text: str) -> Iterator[Document]:
    for raw, _, body in _DART.findall(text):
        plain = body if raw else body.replace("\\$", "$").replace("\\\\", "\\")
        found = _json(plain)
        if found is not None:
            yield found


def _literals(text: str) -> Iterator[Document | str]:
    """Yield objects of JavaScript (which JSON5 is the data of), or why one cannot be read."""
    end = 0
    for match in _OBJECT.finditer(text):
        if match.end() < end:
            continue  # inside the one before
        found, why, position = _literal(text, match.end())
        if why is not None:
            yield why
        elif isinstance(found, dict):
            yield found
        end = max(end, position)


def _literal(text: str, start: int) -> tuple[object, str | None, int]:
    try:
        found, why, position = json5.parse(text, start=start, consume_trailing=False)
    except (ValueError, RecursionError):
        return None, "it is nested too deeply", start
    if why is not None:
        return None, _reason(why), start
    return found, None, position


def _reason(why: str) -> str:
    """Return json5's complaint, `<string>:3 Unexpected "p" at column 10`, for a person."""
    place, _, what = " ".join(why.split()).partition(" ")
    return f"line {place.rpartition(':')[2]}: {what}"


def _sentence(name: str, reasons: list[str]) -> str:
    if not reasons:
        return (
            f"{name} has no configuration of an application in it; name amplify_outputs.json, "
            "aws-exports.js, amplifyconfiguration.json or ~/.cognito-cli-config.json."
        )
    return (
        f"{name} cannot be read without running it ({reasons[0]}); replace what is computed there "
        "by its value, or use --set."
    )
