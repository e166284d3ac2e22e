"""TokenSet and TokenStore: the sign-in of one profile, in memory and on disk.

Owns the token file `tokens.json` in the profile's state directory, its lock and its permissions;
with a vault (`vault.py`) the refresh token and the device's password are there instead.
Does not call Cognito: renewing is `refresh.py`.

INVARIANT: the file is replaced whole and synced before `save` returns, has mode 0600 in a
directory of mode 0700, and is not used when others could have read or written it.
"""

import base64
import binascii
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from cognitofs.auth.devices import Device
from cognitofs.auth.vault import Vault
from cognitofs.config import Profile
from cognitofs.errors import (
    AuthUnavailable,
    ConfigError,
    LoginRequired,
    SignInRefused,
    SpoolDamaged,
)
from cognitofs.safefiles import open_private, private_directory, replace_durably, sync_directory

_VERSION = 1
# The holder waits at most 41 s for Cognito (clients.py), twice when it tries a second token.
_LOCK_SECONDS, _LOCK_PAUSE = 90.0, 0.05
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class TokenSet:
    """One sign-in. Times are seconds since the epoch by the server's clock.

    `identity_id` is what the identity pool last named this login, "" before it was asked;
    `login_name` what the person typed (an e-mail address, say); the device is "" where the pool
    remembers none. A guest has no tokens, only the identity: whoever knows it is the guest.
    """

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    sub: str
    username: str
    issued_at: float
    expires_at: float
    signed_in_at: float
    user_pool_id: str
    client_id: str
    identity_id: str = ""
    identity_pool_id: str = ""
    login_name: str = ""
    device_key: str = ""
    device_group_key: str = ""
    device_password: str = field(default="", repr=False)

    @property
    def is_guest(self) -> bool:
        """Whether nobody signed in: the identity pool's guest."""
        return not self.id_token

    @property
    def device(self) -> Device | None:
        """The machine at hand as the user pool knows it."""
        if not self.device_key:
            return None
        return Device(self.device_key, self.device_group_key, self.device_password)

    def ends_at(self, validity: float) -> float | None:
        """When the sign-in ends if refresh tokens live for *validity*; None: by itself never.

        Renewing does not move it: a rotated refresh token keeps the end of the first one.
        """
        return self.signed_in_at + validity if self.refresh_token else None

    def is_fresh(self, now: float) -> bool:
        """Whether the id token will live for a while: 5 minutes, or a quarter of its life."""
        return self.is_guest or now < self.expires_at - min(
            300.0, (self.expires_at - self.issued_at) / 4
        )


def claims_of(token: str) -> Mapping[str, Any]:
    """Return the claims of a JWT, unverified: it came from Cognito over TLS, and AWS checks it.

    Raises SignInRefused when it is none.
    """
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, binascii.Error) as exc:
        raise _unreadable() from exc
    if not isinstance(claims, dict) or not isinstance(claims.get("exp"), int | float):
        raise _unreadable()
    return claims


def token_set(
    result: Mapping[str, Any], profile: Profile, typed: str, now: float, device: Device | None
) -> TokenSet:
    """Return the sign-in that an AuthenticationResult begins at *now*. Raises SignInRefused."""
    claims = claims_of(result["IdToken"])
    return TokenSet(
        id_token=result["IdToken"],
        access_token=result["AccessToken"],
        refresh_token=result.get("RefreshToken", ""),
        sub=str(claims.get("sub", "")),
        username=str(claims.get("cognito:username") or typed),
        issued_at=float(claims.get("iat", now)),
        expires_at=float(claims["exp"]),
        signed_in_at=now,
        user_pool_id=profile.user_pool_id,
        client_id=profile.client_id,
        login_name=typed,
        device_key=device.key if device else "",
        device_group_key=device.group_key if device else "",
        device_password=device.password if device else "",
    )


def guest(identity_id: str, profile: Profile, now: float) -> TokenSet:
    """Return the sign-in of a guest."""
    return TokenSet(
        id_token="",
        access_token="",
        refresh_token="",
        sub="",
        username="",
        issued_at=now,
        expires_at=now,
        signed_in_at=now,
        user_pool_id="",
        client_id="",
        identity_id=identity_id,
        identity_pool_id=profile.identity_pool_id,
    )


def _unreadable() -> SignInRefused:
    return SignInRefused(
        "The user pool sent a token that cannot be read; check the endpoints of the profile."
    )


def _typed(tokens: TokenSet) -> TokenSet:
    """Return *tokens* as read from a file. Raises TypeError where a value has another type."""
    for each in fields(TokenSet):
        expected = (int, float) if each.type is float else str
        if not isinstance(getattr(tokens, each.name), expected):
            raise TypeError(each.name)
    return tokens


def _with_secrets(tokens: TokenSet, secrets: Mapping[str, str]) -> TokenSet:
    return replace(
        tokens,
        refresh_token=secrets.get("refresh_token", ""),
        device_password=secrets.get("device_password", ""),
    )


class TokenStore:
    """The token file of one profile. Safe across threads and processes inside `locked`."""

    def __init__(
        self,
        directory: Path,
        *,
        vault: Vault | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory, self._vault = directory, vault
        self._path = directory / "tokens.json"
        self._clock = clock

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes and threads from renewing or replacing the tokens meanwhile.

        Raises AuthUnavailable when another one holds the lock for too long.
        """
        with self._translating("locked"):
            self._prepare()
            # Not the token file itself: that one is replaced.
            fd = open_private(self._directory / "tokens.lock", os.O_RDWR)
        try:
            self._wait_for(fd)
            yield
        finally:
            os.close(fd)

    def load(self) -> TokenSet | None:
        """Return the sign-in, None when there is none.

        Raises ConfigError when others may read the file, LoginRequired when it is damaged.
        """
        with self._translating("read"):
            try:
                fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return None
            with os.fdopen(fd, "rb") as file:
                self._check(os.fstat(file.fileno()))
                content = file.read()
        tokens = self._decoded(content)
        return _with_secrets(tokens, self._vault.load()) if self._vault else tokens

    def save(self, tokens: TokenSet) -> None:
        """Replace the sign-in; it is on disk when this returns. Raises SpoolDamaged."""
        if self._vault:
            # First: a file without its refresh token would end the sign-in.
            self._vault.save(
                {
                    "refresh_token": tokens.refresh_token,
                    "device_password": tokens.device_password,
                }
            )
            tokens = _with_secrets(tokens, {})
        content = json.dumps({"version": _VERSION, **asdict(tokens)}).encode()
        with self._translating("written"):
            self._prepare()
            replace_durably(self._path, content)

    def remove(self) -> None:
        """Forget the sign-in; none is no error. Raises SpoolDamaged."""
        if self._vault:
            self._vault.save({})
        with self._translating("removed"):
            self._path.unlink(missing_ok=True)
            if self._directory.is_dir():
                sync_directory(self._directory)

    def _prepare(self) -> None:
        private_directory(self._directory)

    def _check(self, status: os.stat_result) -> None:
        if status.st_uid != os.geteuid():
            raise ConfigError(
                f"{self._path} belongs to another user of this machine; remove it, or run "
                "cognitofs as its owner."
            )
        if stat.S_IMODE(status.st_mode) & _OTHERS:
            raise ConfigError(
                f"{self._path} can be read by others; run `chmod 600 {self._path}`, and "
                "`cognitofs logout` if somebody may have read it."
            )

    def _decoded(self, content: bytes) -> TokenSet:
        try:
            document = json.loads(content)
            version = document.pop("version")
            if version == _VERSION:
                return _typed(TokenSet(**document))
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise LoginRequired(
                f"The sign-in kept in {self._path} is damaged; run `cognitofs login`."
            ) from exc
        raise LoginRequired(
            f"The sign-in kept in {self._path} was written by another version of cognitofs; "
            "run `cognitofs login`."
        )

    def _wait_for(self, fd: int) -> None:
        deadline = self._clock() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                if self._clock() >= deadline:
                    raise AuthUnavailable(
                        "Another cognitofs is renewing the sign-in and does not finish; "
                        "end it, or try again later."
                    ) from exc
                time.sleep(_LOCK_PAUSE)
            else:
                return

    @contextmanager
    def _translating(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise SpoolDamaged(
                f"The sign-in in {self._path} cannot be {done} ({exc.strerror}); check the disk "
                "and the permissions of that directory."
            ) from exc
