"""Levels: several prefixes of a bucket as the top directories of one mount, and who may do what.

Owns the layouts (Amplify's own, or a list of templates), the table of levels, and the rules that
follow: what is virtual, what may be written, what a link may point to. Pure: asks S3 nothing.

INVARIANT: no level lies inside another, neither in the mount nor in the bucket.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cognitofs.errors import ConfigError, NotPermitted, ReadOnly, SymlinkLoop
from cognitofs.rootprefix import check_template, resolve_root

AMPLIFY = "amplify"
"""The layout of AWS Amplify: `private/`, `protected/` and `public/`."""

_ENTITY = "{identity_id}/"
PROTECTED = "protected/"
"""In Amplify's layout: each writes below a directory of their own and reads those of others."""
_FIELD = re.compile(r"\{[^{}]*\}")
_Resolve = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Level:
    """One prefix, shown at *path* (ends in "/"). *own* is the part of the mount to be written.

    *own* "" is a level that may only be read. *is_shared*: others write it too.
    """

    path: str
    prefix: str
    own: str
    is_shared: bool


def check_layout(layout: str) -> None:
    """Raise ConfigError unless *layout* is "", "amplify", or templates with spaces between."""
    for template in templates(layout):
        check_template(template)
    _levels(layout, lambda template: _FIELD.sub("x", template))


def levels_of(layout: str, claims: Mapping[str, str]) -> tuple[Level, ...]:
    """Return the levels of *layout* for the owner of *claims*; none for the layout "".

    Raises ConfigError as `resolve_root`, and when two levels would be in one place.
    """
    return _levels(layout, lambda template: resolve_root(template, claims))


def shown(levels: tuple[Level, ...]) -> str:
    """Return the prefixes of *levels* as one text, in the notation of a shell."""
    return "{" + ",".join(level.prefix for level in levels) + "}"


def templates(layout: str) -> list[str]:
    """Return the templates of what may be written in *layout*; none for the layout ""."""
    if layout == AMPLIFY:
        return [f"private/{_ENTITY}", f"{PROTECTED}{_ENTITY}", "public/"]
    return layout.split()


def _levels(layout: str, resolve: _Resolve) -> tuple[Level, ...]:
    is_amplify = layout == AMPLIFY
    found = tuple(_level(each, resolve, is_amplify) for each in templates(layout))
    _check_apart([level.path for level in found], "in the mount")
    _check_apart([level.prefix for level in found], "in the bucket")
    return found


def _level(template: str, resolve: _Resolve, is_amplify: bool) -> Level:
    if is_amplify and template.startswith(PROTECTED):
        return Level(PROTECTED, PROTECTED, resolve(template), is_shared=True)
    path = _FIELD.sub("", template.replace(_ENTITY, ""))
    path = re.sub("/+", "/", path).lstrip("/") or "files/"
    return Level(path, resolve(template), path, is_shared=_FIELD.search(template) is None)


def _check_apart(places: list[str], where: str) -> None:
    for place in places:
        inside = [other for other in places if other.startswith(place)]
        if len(inside) > 1:
            raise ConfigError(
                f"`layout` has {inside[0]!r} and {inside[1]!r} in one place {where}; "
                "name prefixes that do not lie in one another."
            )


@dataclass(frozen=True, slots=True)
class Rights:
    """What may be done where in a mount with *levels*; everything, when there are none."""

    levels: tuple[Level, ...] = ()
    follow_outside: bool = False

    def check_write(self, key: str) -> None:
        """Raise NotPermitted or ReadOnly when the name *key* may not be made, changed or removed.

        A directory's key ends in "/".
        """
        if not self.levels:
            return
        level = self._level_of(key)
        if level is None or key in (level.path, level.own):
            raise NotPermitted("The top directories belong to the layout; work inside of them.")
        if not level.own or not key.startswith(level.own):
            raise ReadOnly("You may only read here; your own files are in your own directory.")

    def may_write(self, key: str) -> bool:
        """Whether anything below the directory, or the file, *key* may be changed."""
        level = self._level_of(key) if self.levels else None
        if level is None:
            return not self.levels
        return bool(level.own) and key.startswith(level.own)

    def are_apart(self, first: str, second: str) -> bool:
        """Whether a name can only be moved between the two by copying."""
        return bool(self.levels) and self._level_of(first) is not self._level_of(second)

    def check_link(self, key: str, target: str) -> None:
        """Raise SymlinkLoop when the link *key*, which others may have made, leads outside."""
        level = self._level_of(key) if self.levels else None
        if level is None or not level.is_shared or self.follow_outside:
            return
        end = posixpath.normpath(posixpath.join(posixpath.dirname(key), target))
        if target.startswith("/") or not f"{end}/".startswith(level.path):
            raise SymlinkLoop(
                "The link leads out of a directory that others may write to; mount with "
                "--follow-outside if you trust them."
            )

    def granted(self, path: str, *, may_write: bool) -> "Rights":
        """Return these rights with what was found out about the level at *path*."""
        found = tuple(
            replace(level, own=level.own if may_write else "") if level.path == path else level
            for level in self.levels
        )
        return replace(self, levels=found)

    def without(self, path: str) -> "Rights":
        """Return these rights without the level at *path*."""
        return replace(self, levels=tuple(each for each in self.levels if each.path != path))

    def _level_of(self, key: str) -> Level | None:
        return next((level for level in self.levels if key.startswith(level.path)), None)
