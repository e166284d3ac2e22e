"""Server trials: which servers off AWS ignore the conditions of commits, tried once and remembered.

Owns the file in the cache directory that remembers it, and the words about it. The trial itself is
`store/conditions.py`, what follows from it `store/checking.py`.

INVARIANT: AWS is never tried, and nothing is remembered that a server did not show.
"""

import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cognitofs.config import ConditionalWrites
from cognitofs.errors import CognitoFSError, ConfigError
from cognitofs.safefiles import private_directory, replace_durably
from cognitofs.store.checking import CheckingStore
from cognitofs.store.conditions import ALL_COMMITS, Commit, unminded_commits
from cognitofs.store.interface import ObjectStore

VALID = 7 * 24 * 3600.0
"""Seconds; a server may have been replaced by a better one, or by a worse one, since."""

_FORMAT = 1
_NAME = "servers.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Minding:
    """What a server does with conditions: the commits it ignores them in, and what to say."""

    unminded: frozenset[Commit] = frozenset()
    notices: tuple[str, ...] = ()

    def applied(self, store: ObjectStore) -> ObjectStore:
        """Return *store*, with a look before each commit that needs one."""
        return CheckingStore(store, self.unminded) if self.unminded else store


@dataclass(frozen=True, slots=True)
class Server:
    """Which bucket, by its endpoint ("" is AWS), and where what is known of it is kept."""

    endpoint: str
    bucket: str
    cache: Path

    async def minding(self, how: ConditionalWrites, store: ObjectStore, own: str) -> Minding:
        """Return what the server minds, trying it below the directory *own* if that is unknown.

        Raises ConfigError when it ignores conditions and *how* is "require".
        """
        if how == "off":
            return Minding(ALL_COMMITS, (_OFF,))
        if not self.endpoint:
            return Minding()
        unminded, is_new = self._remembered(), False
        if unminded is None:
            unminded, is_new = await self._tried(store, own), True
        if unminded and how == "require":
            raise ConfigError(
                f"The server {self.endpoint} ignores the conditions of {_listed(unminded)}, so two"
                " hosts could overwrite each other's files; use another server, or mount with"
                " --conditional-writes auto."
            )
        if unminded and not is_new:
            _log.warning(_ignores(unminded))
        return Minding(unminded, (_ignores(unminded),) if unminded and is_new else ())

    async def _tried(self, store: ObjectStore, own: str) -> frozenset[Commit]:
        """Try it; where the role may not, believe the server for this time."""
        key = f"{own}.cognitofs-probe-{secrets.token_hex(8)}"
        try:
            unminded = await unminded_commits(store, key)
        except CognitoFSError as exc:
            _log.warning("Whether the server minds conditions could not be tried: %s", exc)
            return frozenset()
        self._remember(unminded)
        return unminded

    @property
    def _file(self) -> Path:
        return self.cache / _NAME

    @property
    def _key(self) -> str:
        return f"{self.endpoint.rstrip('/')}/{self.bucket}"

    def _known(self) -> dict[str, object]:
        try:
            found = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        is_ours = isinstance(found, dict) and found.get("format") == _FORMAT
        servers = found.get("servers") if is_ours else None
        return servers if isinstance(servers, dict) else {}

    def _remembered(self) -> frozenset[Commit] | None:
        found = self._known().get(self._key)
        if not isinstance(found, Mapping):
            return None
        tried, names = found.get("tried"), found.get("ignores")
        if not isinstance(tried, int | float) or not 0 <= time.time() - tried < VALID:
            return None
        return frozenset(c for c in ALL_COMMITS if c in names) if isinstance(names, list) else None

    def _remember(self, unminded: frozenset[Commit]) -> None:
        entry = {"tried": time.time(), "ignores": sorted(unminded)}
        document = {"format": _FORMAT, "servers": {**self._known(), self._key: entry}}
        try:
            private_directory(self.cache)
            replace_durably(self._file, json.dumps(document, indent=1).encode())
        except (OSError, CognitoFSError) as exc:
            _log.info("What the server minds is tried again at the next mount: %s", exc)


def _listed(commits: frozenset[Commit]) -> str:
    *first, last = sorted(commits)
    return f"{', '.join(first)} and {last}" if first else last


def _ignores(unminded: frozenset[Commit]) -> str:
    return (
        f"WARNING: this server ignores the conditions of {_listed(unminded)}. The object is looked"
        " at right before each of them instead; a change by another host in just that moment"
        " would be lost."
    )


_OFF = (
    "WARNING: commits carry no conditions (--conditional-writes off). The object is looked at right"
    " before each of them instead; a change by another host in just that moment would be lost."
)
