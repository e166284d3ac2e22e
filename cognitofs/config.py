"""Profile and MountOptions: what the person has configured, as frozen values.

Owns the options' names, defaults, meanings and checks. Where they are written is `configfile.py`;
how flags, environment and file are merged is `settings.py`.

INVARIANT: a `Profile` and a `MountOptions` that exist are valid; only completeness is asked for
separately (`require_sign_in`, `require_mount`), since a profile may be configured in steps.
"""

import ipaddress
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from cognitofs import quantities
from cognitofs.errors import ConfigError
from cognitofs.levels import check_layout
from cognitofs.quantities import GIB, MIB
from cognitofs.rootprefix import STANDARD_ROOT, check_template
from cognitofs.store.storage import StorageOptions

DEFAULT_PROFILE = "default"
Sync = Literal["close", "fsync", "local"]
ConditionalWrites = Literal["auto", "require", "off"]
Service = Literal["cognito_idp", "cognito_identity", "sts", "s3"]

_PROFILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
# "us-east-1_AbC" names a user pool, "us-east-1:uuid" an identity pool: the region comes first.
_REGION_OF_ID = re.compile(r"([a-z]{2}(?:-[a-z]+)+-[0-9]+)[_:]")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+")
# Wider than S3's rules, which old buckets and other stores break; keeps out URLs and paths.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


def check_profile_name(name: str) -> str:
    """Return *name* if it can be a directory's name. Raises ConfigError."""
    if not _PROFILE_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a profile; use letters, digits, '-', '_' and '.', at most 64."
        )
    return name


def check_endpoint(key: str, url: str) -> None:
    """Raise ConfigError unless *url* is https, or http on this machine.

    Tokens and keys travel there: plain http is for emulators on a loopback address only.
    """
    if not url:
        return
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as exc:
        raise ConfigError(f"`{key}` is not a URL: {url!r}; write https://HOST.") from exc
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"`{key}` must be a URL such as https://HOST, not {url!r}.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(f"`{key}` must be a plain URL, without a user, query or fragment.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ConfigError(
            f"`{key}` would send your tokens to {host} unencrypted; use https:// "
            "(http:// is only for addresses of this machine, such as 127.0.0.1)."
        )


def check_redirect(url: str) -> None:
    """Raise ConfigError unless *url* can be listened at: http://localhost:PORT/PATH.

    Cognito allows plain http for the name localhost only, not for 127.0.0.1 (developer guide,
    "Configuring app clients").
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port = None
    if not port or parts.scheme != "http" or parts.hostname != "localhost" or parts.query:
        raise ConfigError(
            f"`oauth_redirect` must be http://localhost:PORT/PATH, not {url!r}; the app client "
            "must list it letter for letter."
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_by(reading: quantities.Reading) -> dict[str, Any]:
    return {"reading": reading}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Service URLs where they are not AWS's own; "" where they are."""

    cognito_idp: str = ""
    cognito_identity: str = ""
    sts: str = ""
    s3: str = ""

    def __post_init__(self) -> None:
        for each in fields(self):
            check_endpoint(f"endpoints.{each.name}", getattr(self, each.name))


@dataclass(frozen=True, slots=True)
class Profile:
    """Whose files, and where they are. An empty string is an option that is not set.

    `root` None stands for the default: `private/{identity_id}/`, or the whole bucket when the
    credential process names no identity.
    """

    name: str = DEFAULT_PROFILE
    region: str = ""
    user_pool_id: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    identity_pool_id: str = ""
    bucket: str = ""
    bucket_region: str = ""
    root: str | None = None
    layout: str = ""
    endpoint_url: str = ""
    endpoints: Endpoints = Endpoints()
    credential_process: str = ""
    ca_bundle: str = ""
    sign_in: Literal["srp", "password", "choice", "browser", "guest"] = field(
        default="srp",
        metadata=_read_by(quantities.one_of("srp", "password", "choice", "browser", "guest")),
    )
    oauth_domain: str = ""
    oauth_scopes: str = "openid"
    oauth_redirect: str = "http://localhost:8765/callback"
    identity_provider: str = ""
    login_command: str = ""
    custom_role_arn: str = ""
    role_arn: str = ""
    # AssumeRoleWithWebIdentity takes 900 s up to the role's maximum, which is at most 12 h.
    session_duration: float = field(
        default=3600.0, metadata=_read_by(quantities.seconds_between(900, 43200))
    )
    # Cognito's default for an app client; it cannot be asked for without an administrator's rights.
    refresh_token_validity: float = field(
        default=30 * 86400.0, metadata=_read_by(quantities.seconds)
    )
    keyring: bool = field(default=False, metadata=_read_by(quantities.switch))

    def __post_init__(self) -> None:
        check_profile_name(self.name)
        check_endpoint("endpoint_url", self.endpoint_url)
        if self.root is not None:
            check_template(self.root)
        check_layout(self.layout)
        if self.bucket and not _BUCKET.fullmatch(self.bucket):
            raise ConfigError(
                f"`bucket` must be the bucket's name alone, not {self.bucket!r}; "
                "the part below it is `root`."
            )
        self._check_region()
        self._check_ways_in()

    def _check_ways_in(self) -> None:
        check_endpoint("oauth_domain", self.oauth_url)
        check_redirect(self.oauth_redirect)
        for key in ("role_arn", "custom_role_arn"):
            value = getattr(self, key)
            if value and not _ROLE.fullmatch(value):
                raise ConfigError(
                    f"`{key}` must be a role such as arn:aws:iam::123456789012:role/NAME, "
                    f"not {value!r}."
                )
        if self.role_arn and self.custom_role_arn:
            raise ConfigError(
                "`role_arn` is of the classic flow and `custom_role_arn` of the enhanced one; "
                "remove one of the two."
            )
        if self.login_command and self.credential_process:
            raise ConfigError(
                "`login_command` and `credential_process` are two sources of one thing; remove one."
            )

    @property
    def oauth_url(self) -> str:
        """URL of the user pool's domain, where people sign in with a browser; "" for none."""
        domain = self.oauth_domain.rstrip("/")
        return f"https://{domain}" if domain and "://" not in domain else domain

    @property
    def has_user_pool(self) -> bool:
        """Whether people of a user pool sign in (else guests, or whom a command names)."""
        return self.sign_in != "guest" and not self.login_command

    def _check_region(self) -> None:
        derived = _region_of(self.user_pool_id) or _region_of(self.identity_pool_id)
        if self.region and derived and self.region != derived:
            raise ConfigError(
                f"`region` is {self.region}, but the pools of profile {self.name!r} are in "
                f"{derived}; correct or remove `region` (for the bucket set `bucket_region`)."
            )

    @property
    def user_pool_region(self) -> str:
        """Region of the user pool; its id names it."""
        return _region_of(self.user_pool_id) or self.region

    @property
    def identity_pool_region(self) -> str:
        """Region of the identity pool; its id names it."""
        return _region_of(self.identity_pool_id) or self.region

    @property
    def s3_region(self) -> str:
        """Region of the bucket: `bucket_region`, else that of the pools."""
        pools = self.user_pool_region or self.identity_pool_region
        return self.bucket_region or self.region or pools

    def endpoint(self, service: Service) -> str:
        """Return the URL for *service*, or "" for AWS's own."""
        chosen: str = getattr(self.endpoints, service)
        return chosen or self.endpoint_url

    def root_template(self, *, has_identity: bool) -> str:
        """Return `root`, or the default for a sign-in with or without an identity id."""
        if self.root is not None:
            return self.root
        return STANDARD_ROOT if has_identity else ""


def _region_of(pool_id: str) -> str:
    match = _REGION_OF_ID.match(pool_id)
    return match[1] if match else ""


def require_sign_in(profile: Profile) -> None:
    """Raise ConfigError unless *profile* says enough to sign in with Cognito."""
    if profile.credential_process:
        raise ConfigError(
            f"Profile {profile.name!r} gets its keys from its `credential_process`; "
            "there is nothing to sign in to: mount it."
        )
    if profile.login_command:
        raise ConfigError(
            f"Profile {profile.name!r} gets its logins from its `login_command`; "
            "there is nothing to sign in to: mount it."
        )
    _require_pools(profile)
    _require_region(
        profile,
        (not profile.has_user_pool or profile.user_pool_region) and profile.identity_pool_region,
        "region",
    )


def require_browser(profile: Profile) -> None:
    """Raise ConfigError unless *profile* says where people sign in with a browser."""
    _require_pools(profile)
    _require(profile, "oauth_domain")


def _require_pools(profile: Profile) -> None:
    ids = ("user_pool_id", "client_id") if profile.has_user_pool else ()
    _require(profile, *ids, "identity_pool_id")


def require_mount(profile: Profile) -> None:
    """Raise ConfigError unless *profile* says enough to mount."""
    if profile.credential_process:
        _require(profile, "bucket")
    else:
        ids = ("user_pool_id", "client_id") if profile.has_user_pool else ()
        _require(profile, *ids, "identity_pool_id", "bucket")
    _require_region(profile, profile.s3_region, "bucket_region")


def _require(profile: Profile, *keys: str) -> None:
    missing = [key for key in keys if not getattr(profile, key)]
    if missing:
        raise ConfigError(
            f"Profile {profile.name!r} lacks {_listed(missing)}; "
            f"run `cognitofs configure --profile {profile.name}`."
        )


def _require_region(profile: Profile, region: str, key: str) -> None:
    if not region:
        raise ConfigError(
            f"Profile {profile.name!r} does not say in which AWS region it lives; set it with "
            f"`cognitofs configure --profile {profile.name} --set {key}=REGION`."
        )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


@dataclass(frozen=True, slots=True)
class MountOptions:
    """How to mount. Sizes in bytes, times in seconds.

    Each field's metadata holds the reading that turns a written value into it.
    """

    sync: Sync = field(
        default="close", metadata=_read_by(quantities.one_of("close", "fsync", "local"))
    )
    # S3 takes parts of 5 MiB to 5 GiB.
    part_size: int = field(
        default=8 * MIB, metadata=_read_by(quantities.size_between(5 * MIB, 5 * GIB))
    )
    metadata_ttl: float = field(default=5.0, metadata=_read_by(quantities.seconds))
    open_ttl: float = field(default=1.0, metadata=_read_by(quantities.seconds))
    conflict: Literal["copy", "fail", "overwrite"] = field(
        default="copy", metadata=_read_by(quantities.one_of("copy", "fail", "overwrite"))
    )
    # Whether commits name the version they are based on; see servertrials.py.
    conditional_writes: ConditionalWrites = field(
        default="auto", metadata=_read_by(quantities.one_of("auto", "require", "off"))
    )
    # At least a few of the largest fetches: what is read must fit for as long as it is read.
    cache_size: int = field(
        default=GIB, metadata=_read_by(quantities.size_between(32 * MIB, quantities.TIB * 1024))
    )
    # None: 20 GiB, or half of the free space if that is less.
    spool_size: int | None = field(default=None, metadata=_read_by(quantities.size))
    # Unsent files may lie on a network's or another program's file system.
    unsafe_spool: bool = field(default=False, metadata=_read_by(quantities.switch))
    spool_min_free: int = field(default=GIB, metadata=_read_by(quantities.size))
    # None waits for as long as uploads make progress.
    drain_timeout: float | None = field(default=None, metadata=_read_by(quantities.seconds))
    # None: a mount stays until it is left.
    idle_exit: float | None = field(
        default=None, metadata=_read_by(quantities.seconds_between(1, 30 * 86400))
    )
    max_transfers: int = field(default=8, metadata=_read_by(quantities.count))
    # Up and down, bytes a second; 0 does not limit.
    bandwidth_limit: tuple[int, int] = field(default=(0, 0), metadata=_read_by(quantities.rates))
    follow_outside: bool = field(default=False, metadata=_read_by(quantities.switch))
    allow_other: bool = field(default=False, metadata=_read_by(quantities.switch))
    read_only: bool = field(default=False, metadata=_read_by(quantities.switch))
    # Let desktops make .Trash directories at the top.
    trash: bool = field(default=False, metadata=_read_by(quantities.switch))
    # Objects below a directory that rename() moves by itself.
    rename_limit: int = field(default=100_000, metadata=_read_by(quantities.count))
    uid: int = field(default_factory=os.getuid, metadata=_read_by(quantities.whole))
    gid: int = field(default_factory=os.getgid, metadata=_read_by(quantities.whole))
    file_mode: int = field(default=0o644, metadata=_read_by(quantities.mode))
    dir_mode: int = field(default=0o755, metadata=_read_by(quantities.mode))
    # None: the XDG directories of `where.py`.
    state_dir: Path | None = field(default=None, metadata=_read_by(quantities.path))
    cache_dir: Path | None = field(default=None, metadata=_read_by(quantities.path))
    log_level: Literal["error", "warning", "info", "debug"] = field(
        default="info",
        metadata=_read_by(quantities.one_of("error", "warning", "info", "debug")),
    )
    auth_wait: float = field(default=60.0, metadata=_read_by(quantities.seconds))
    # A look-up that takes longer than a minute is no help to any program.
    net_wait: float = field(default=20.0, metadata=_read_by(quantities.seconds_between(1, 60)))
    stall_timeout: float = field(default=120.0, metadata=_read_by(quantities.seconds))
    read_timeout: float = field(default=60.0, metadata=_read_by(quantities.seconds))
    xattrs: bool = field(default=False, metadata=_read_by(quantities.switch))
    attributes: Literal["head", "list"] = field(
        default="head", metadata=_read_by(quantities.one_of("head", "list"))
    )
    # How objects are kept; None leaves it to the bucket. Their meaning is `StorageOptions`'.
    sse: str | None = field(default=None, metadata=_read_by(quantities.text))
    sse_kms_key_id: str | None = field(default=None, metadata=_read_by(quantities.text))
    bucket_key: bool = field(default=False, metadata=_read_by(quantities.switch))
    storage_class: str | None = field(default=None, metadata=_read_by(quantities.text))
    requester_pays: bool = field(default=False, metadata=_read_by(quantities.switch))
    expected_bucket_owner: str | None = field(default=None, metadata=_read_by(quantities.text))

    def __post_init__(self) -> None:
        self.storage  # noqa: B018 - raises ConfigError for what S3 would refuse later

    @property
    def storage(self) -> StorageOptions:
        """How objects are kept in the bucket. Raises ConfigError."""
        given = {each.name: getattr(self, each.name) for each in fields(StorageOptions)}
        return StorageOptions(**{name: value for name, value in given.items() if value})
