"""Reach: which prefixes of the bucket a mount shows, and what the role may do in each.

Owns the building of the store and the questions that `mount` asks before it returns.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from cognitofs import preflight, where
from cognitofs.auth.account import Account
from cognitofs.config import MountOptions
from cognitofs.errors import AccessDenied
from cognitofs.levels import Level, Rights, levels_of, shown
from cognitofs.servertrials import Minding, Server
from cognitofs.store.interface import ObjectStore
from cognitofs.store.levels import LevelledStore
from cognitofs.store.s3 import S3Config, S3Store


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be mounted, before S3 was asked."""

    account: Account
    levels: tuple[Level, ...]

    @property
    def prefix(self) -> str:
        """The prefix, or all of them as one text."""
        return shown(self.levels) if self.levels else self.account.root

    @property
    def s3_uri(self) -> str:
        """Where the files are."""
        return f"s3://{self.account.profile.bucket}/{self.prefix}"

    @property
    def prefix_bytes(self) -> int:
        """By how much a key is longer in the bucket than in the mount, at most."""
        if not self.levels:
            return len(self.account.root.encode())
        return max(0, *(len(each.prefix.encode()) - len(each.path) for each in self.levels))


@dataclass(frozen=True, slots=True)
class Reach:
    """What was found out: the store of everything, what may be done, what should be known."""

    store: ObjectStore
    rights: Rights
    may_write: bool
    notices: tuple[str, ...]


def planned(account: Account) -> Plan:
    """Return what *account* mounts. Raises ConfigError."""
    claims = {
        "identity_id": account.identity_id,
        "sub": account.sub,
        "username": account.username,
    }
    return Plan(account, levels_of(account.profile.layout, claims))


def open_store(account: Account, options: MountOptions, *, metadata_at_once: int) -> S3Store:
    """Return the store of the account's own prefix; nothing is asked yet. Raises ConfigError."""
    profile = account.profile
    config = S3Config(
        bucket=profile.bucket,
        region=profile.s3_region,
        prefix=account.root,
        endpoint_url=profile.endpoint("s3"),
        ca_bundle=profile.ca_bundle,
        max_transfers=options.max_transfers,
        max_metadata=metadata_at_once,
        patience=options.net_wait,
        silence=options.net_wait,
        bandwidth_up=options.bandwidth_limit[0],
        bandwidth_down=options.bandwidth_limit[1],
        storage=options.storage,
    )
    return S3Store(config, account.credentials)


async def examined(plan: Plan, options: MountOptions, own: S3Store) -> Reach:
    """Ask what the role may do, in each level. Raises what makes a mount impossible."""
    if plan.levels:
        return await _examined_levels(plan, options, own)
    found = await preflight.examine(own, plan.s3_uri)
    minding = await _minding(plan, options, own, "") if found.may_write else Minding()
    notices = (*found.notices, *minding.notices)
    return Reach(minding.applied(own), Rights(), found.may_write, notices)


async def _examined_levels(plan: Plan, options: MountOptions, own: S3Store) -> Reach:
    rights = Rights(plan.levels, follow_outside=options.follow_outside)
    stores: dict[str, ObjectStore] = {}
    notices: list[str] = []
    minding: Minding | None = None
    for level in plan.levels:
        store = own.beside(level.prefix)
        uri = f"s3://{plan.account.profile.bucket}/{level.prefix}"
        try:
            found = await preflight.examine(store, uri, own=level.own[len(level.path) :])
        except AccessDenied as exc:
            rights = rights.without(level.path)
            notices.append(f"{PurePosixPath(level.path)} is left out. {exc}")
            continue
        if found.may_write and minding is None:
            minding = await _minding(plan, options, store, level.own[len(level.path) :])
            notices += minding.notices
        stores[level.path] = store
        rights = rights.granted(level.path, may_write=found.may_write)
        notices += found.notices
    if not stores:
        raise AccessDenied(f"The role may use nothing of {plan.s3_uri}. {' '.join(notices)}")
    return Reach(
        (minding or Minding()).applied(LevelledStore(stores, _always(rights))),
        rights,
        any(level.own for level in rights.levels),
        tuple(dict.fromkeys(notices)),
    )


async def _minding(plan: Plan, options: MountOptions, store: ObjectStore, own: str) -> Minding:
    """Return what the server does with conditions, tried in a directory that we may write."""
    profile = plan.account.profile
    server = Server(profile.endpoint("s3"), profile.bucket, where.cache_home(options))
    return await server.minding(options.conditional_writes, store, own)


def _always(rights: Rights) -> frozenset[str]:
    """Return the directories inside levels that are the person's own, made or not."""
    return frozenset(each.own for each in rights.levels if each.own and each.own != each.path)
