"""The examination: all checks in the order in which one explains the next.

Owns that order, and that a failure ends only what leans on it.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import trio

from cognitofs import levels, mounts, where
from cognitofs.auth.account import Account, open_account
from cognitofs.auth.clock import ServerClock
from cognitofs.config import require_mount
from cognitofs.control import State
from cognitofs.doctor import account as signing_in
from cognitofs.doctor import names
from cognitofs.doctor.findings import Check, Finding, hint, ok, problem
from cognitofs.doctor.machine import Machine
from cognitofs.doctor.neighbours import Neighbours
from cognitofs.doctor.rights import Probe
from cognitofs.errors import CognitoFSError, ConfigError, LoginRequired
from cognitofs.rootprefix import resolve_root
from cognitofs.settings import Settings
from cognitofs.store.s3 import S3Config, S3Store

# Every request ends by itself; together they may be slow.
_LONGEST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Examination:
    """One examination of a profile and the machine around it."""

    settings: Settings
    environ: Mapping[str, str]
    fix: bool = False

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield every finding as soon as it is known."""
        options = self.settings.options
        state = where.state_home(options)
        is_root = os.geteuid() == 0
        machine = Machine(state, is_root=is_root, wants_others=options.allow_other)
        for found in machine.examine(fix=self.fix):
            yield found
        for found in self._unsent():
            yield found
        async for found in self._cloud():
            yield found

    def _unsent(self) -> Iterator[Finding]:
        """Yield the prefixes with files that no process sends."""
        known = mounts.known_mounts(where.state_home(self.settings.options), self.environ)
        waiting = [
            each for each in known if each.state == State.UNMOUNTED.value and each.pending_files
        ]
        for each in waiting:
            yield hint(
                Check.UNSENT,
                f"{each.pending_files} of the files of {each.s3_uri} are only on this machine, in "
                f"{each.state_directory}.",
                "Mount that prefix again to send them.",
            )
        if not waiting:
            yield ok(Check.UNSENT, "No unsent files wait for a mount.")

    async def _cloud(self) -> AsyncIterator[Finding]:
        profile = self.settings.profile
        try:
            require_mount(profile)
        except ConfigError as exc:
            yield problem(Check.CONFIGURATION, str(exc), "Complete it with `cognitofs configure`.")
            return
        place = f"Profile {profile.name} of {self.settings.source} says all that a mount needs."
        yield ok(Check.CONFIGURATION, place)
        clock = ServerClock()
        try:
            account = open_account(profile, self.settings.state, clock=clock)
        except CognitoFSError as exc:
            yield problem(Check.SIGN_IN, str(exc), _remedy(exc))
            yield signing_in.clock(clock)
            return
        yield signing_in.signed_in(account)
        if not profile.credential_process:
            yield signing_in.clock(clock)
            yield signing_in.groups(signing_in.stored_claims(profile, self.settings.state))
        async for found in self._bucket(account):
            yield found

    async def _bucket(self, account: Account) -> AsyncIterator[Finding]:
        """Examine each prefix that a mount would show, then what lies around the own one."""
        store_at = partial(_store, account)
        conditions = True
        try:
            for prefix in _prefixes(account):
                store = store_at(prefix)
                probe = Probe(store, f"s3://{account.profile.bucket}/{prefix}")
                async for found in probe.examine():
                    yield found
                yield await names.examine(store)
                conditions = conditions and probe.conditions_hold
        except CognitoFSError as exc:
            yield problem(Check.BUCKET, str(exc), "Correct the profile, or try again later.")
            return
        around = Neighbours(_owned(account), account.identity_id, store_at, conditions)
        async for found in around.examine():
            yield found


def _prefixes(account: Account) -> tuple[str, ...]:
    """Return the prefixes that a mount would show; of those of everybody, the part to write."""
    claims = {"identity_id": account.identity_id, "sub": account.sub, "username": account.username}
    written = levels.templates(account.profile.layout)
    return tuple(resolve_root(each, claims) for each in written) or (account.root,)


def _owned(account: Account) -> str:
    """Return the template of a prefix that should be nobody else's."""
    written = levels.templates(account.profile.layout)
    owned = [each for each in written if "{" in each]
    return (
        owned[0] if owned else account.profile.root_template(has_identity=bool(account.identity_id))
    )


def gathered(examination: Examination, *, tell: Callable[[Finding], None]) -> list[Finding]:
    """Return all findings of *examination*; *tell* hears each as soon as it is known."""
    found: list[Finding] = []

    async def gather() -> None:
        with trio.move_on_after(_LONGEST_SECONDS) as limit:
            async for each in examination.findings():
                found.append(each)
                tell(each)
        if limit.cancelled_caught:
            late = problem(Check.BUCKET, "The examination takes too long.", "Check the network.")
            found.append(late)
            tell(late)

    trio.run(gather)
    return found


def _store(account: Account, prefix: str) -> S3Store:
    profile = account.profile
    config = S3Config(
        bucket=profile.bucket,
        region=profile.s3_region,
        prefix=prefix,
        endpoint_url=profile.endpoint("s3"),
        ca_bundle=profile.ca_bundle,
        patience=5.0,
    )
    return S3Store(config, account.credentials)


def _remedy(error: CognitoFSError) -> str:
    if isinstance(error, LoginRequired):
        return "Run `cognitofs login`."
    return "The rest cannot be examined before that."
