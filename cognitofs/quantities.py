"""Readings: what a person writes for a size, a time, a mode, a yes or no, as the value meant.

Owns the notation of options, whether they come from TOML (already typed), the environment or a
flag (text), and how sizes and times are shown. Does not know which option it reads: the caller
names it.

INVARIANT: a reading returns the value or raises `ValueError` with words that finish the sentence
"`option` must be ...".
"""

import datetime
import re
from collections.abc import Callable
from pathlib import Path

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

SLOWEST = 64 * KIB
"""Bytes a second. With less no part of an upload would end before a server gives it up."""

_UNITS = {
    "": 1,
    "b": 1,
    # IEC 80000-13, and the bare letters as dd, truncate and s3fs use them.
    "k": KIB,
    "kib": KIB,
    "m": MIB,
    "mib": MIB,
    "g": GIB,
    "gib": GIB,
    "t": TIB,
    "tib": TIB,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")
_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(s|m|h|d|)")
_YES, _NO = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})

Reading = Callable[[object], object]


def size(value: object) -> int:
    """Return bytes: 1048576, "5M", "8MiB" (powers of 1024) or "8MB" (powers of 1000)."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ValueError('a size such as 8388608, "8MiB" or "5M"')
    return int(float(match[1]) * unit)


def size_between(least: int, most: int) -> Callable[[object], int]:
    """Return a reading of sizes in [least, most]."""

    def reading(value: object) -> int:
        number = size(value)
        if not least <= number <= most:
            raise ValueError(f"a size from {size_text(least)} to {size_text(most)}")
        return number

    return reading


def rates(value: object) -> tuple[int, int]:
    """Return bytes a second up and down: "5M:20M", "5M" for both, 0 for no limit."""
    up, colon, down = str(value).partition(":")
    try:
        found = size(up), size(down if colon else up)
    except ValueError:
        found = (1, 1)
    if any(0 < rate < SLOWEST for rate in found):
        raise ValueError('bytes a second up and down such as "5M:20M", each 0 or 64 KiB at least')
    return found


def size_text(number: int) -> str:
    """Return *number* bytes as `size` would read it."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if number >= unit and number % unit == 0:
            return f"{number // unit}{name}"
    return str(number)


def time_text(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as ISO 8601 in UTC, to the second."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def about(number: float) -> str:
    """Return *number* bytes for a person, in powers of 1000 as S3's own console writes them."""
    if number < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1000
        if number < 1000 or unit == "TB":
            break
    return f"{number:.1f} {unit}"


def seconds(value: object) -> float:
    """Return seconds: 5, 0.5, "30", "30s", "2m", "1h", "30d"."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _SECONDS.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a time in seconds such as 5, 0.5, "30s" or "2m"')
    return float(match[1]) * {"m": 60, "h": 3600, "d": 86400}.get(match[2], 1)


def seconds_between(least: float, most: float) -> Callable[[object], float]:
    """Return a reading of times in [least, most]."""

    def reading(value: object) -> float:
        number = seconds(value)
        if not least <= number <= most:
            raise ValueError(f"a time from {least:g} to {most:g} seconds")
        return number

    return reading


def count(value: object) -> int:
    """Return a whole number of at least one."""
    number = whole(value)
    if number < 1:
        raise ValueError("a whole number of at least 1")
    return number


def whole(value: object) -> int:
    """Return a whole number of at least zero."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    raise ValueError("a whole number")


def mode(value: object) -> int:
    """Return permission bits: "0644" and "644" are octal, TOML writes 0o644."""
    if isinstance(value, str) and re.fullmatch(r"(0o)?[0-7]{3,4}", value):
        value = int(value.removeprefix("0o"), 8)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o777:
        return value
    raise ValueError('permission bits such as "0644" (in TOML also 0o644)')


def switch(value: object) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in _YES | _NO:
        raise ValueError("true or false")
    return word in _YES


def text(value: object) -> str:
    """Return one line of text."""
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("one line of text")
    return value


def path(value: object) -> Path:
    """Return an absolute path; "~" is the home directory."""
    found = Path(str(value)).expanduser() if isinstance(value, str | Path) and value else None
    if found is None or not found.is_absolute():
        raise ValueError('an absolute path, or one that begins with "~/"')
    return found


def one_of(*words: str) -> Callable[[object], str]:
    """Return a reading of one of *words*."""

    def reading(value: object) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return reading
