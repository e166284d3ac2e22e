"""FaultyStore: any ObjectStore, with failures and stalls where a test wants them.

Owns the script. A failure comes before the effect (the request never arrived) or after it (the
answer was lost); a stall holds every matching call until it is released.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import trio

from cognitofs.errors import CognitoFSError
from cognitofs.store.interface import (
    Body,
    Expect,
    FileSlice,
    ObjectHead,
    ObjectHeaders,
    ObjectInfo,
    ObjectStore,
    Page,
    PartReceipt,
    UploadId,
    Version,
)

_T = TypeVar("_T")

Operation = Literal[
    "head",
    "list_page",
    "read",
    "read_into",
    "put",
    "begin_upload",
    "upload_part",
    "copy_part",
    "list_parts",
    "complete_upload",
    "abort_upload",
    "copy",
    "delete",
    "delete_many",
]
Moment = Literal["before", "after"]


@dataclass(slots=True)
class _Fault:
    operation: Operation
    key: str | None
    moment: Moment
    error: CognitoFSError
    times: int


@dataclass(slots=True)
class Stall:
    """A gate in front of (or behind) the effect of matching calls."""

    operation: Operation
    key: str | None
    moment: Moment
    waiting: int = 0
    """Calls held right now."""
    reached: trio.Event = field(default_factory=trio.Event)
    """Set when the first call is held."""
    released: trio.Event = field(default_factory=trio.Event)

    def release(self) -> None:
        """Let all held and all later calls through."""
        self.released.set()

    async def hold(self) -> None:
        """Wait for the release."""
        self.reached.set()
        self.waiting += 1
        try:
            await self.released.wait()
        finally:
            self.waiting -= 1


class FaultyStore:
    """Wraps *store*; `requests` counts all calls, also those that never arrive."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._faults: list[_Fault] = []
        self._stalls: list[Stall] = []
        self.requests: Counter[str] = Counter()

    def fail(
        self,
        operation: Operation,
        error: CognitoFSError,
        *,
        moment: Moment = "before",
        times: int = 1,
        key: str | None = None,
    ) -> None:
        """Let the next *times* calls (-1: all) of *operation*, on *key* if given, raise *error*."""
        self._faults.append(_Fault(operation, key, moment, error, times))

    def heal(self) -> None:
        """Forget all failures and release all stalls."""
        self._faults.clear()
        for stall in self._stalls:
            stall.release()
        self._stalls.clear()

    def stall(
        self, operation: Operation, *, moment: Moment = "before", key: str | None = None
    ) -> Stall:
        """Hold all calls of *operation*, on *key* if given, until the result is released."""
        stall = Stall(operation, key, moment)
        self._stalls.append(stall)
        return stall

    async def head(self, key: str) -> ObjectHead:
        """See `ObjectStore.head`."""
        return await self._around("head", key, lambda: self._store.head(key))

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "/",
        token: str | None = None,
        start_after: str = "",
        limit: int = 1000,
    ) -> Page:
        """See `ObjectStore.list_page`; the script's key is the prefix."""
        return await self._around(
            "list_page",
            prefix,
            lambda: self._store.list_page(
                prefix, delimiter=delimiter, token=token, start_after=start_after, limit=limit
            ),
        )

    async def read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        """See `ObjectStore.read`."""
        return await self._around("read", info.key, lambda: self._store.read(info, start, stop))

    async def read_into(self, info: ObjectInfo, start: int, stop: int, fd: int) -> None:
        """See `ObjectStore.read_into`."""
        await self._around(
            "read_into", info.key, lambda: self._store.read_into(info, start, stop, fd)
        )

    async def put(
        self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.put`."""
        return await self._around(
            "put", key, lambda: self._store.put(key, body, headers, expect=expect)
        )

    async def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        """See `ObjectStore.begin_upload`."""
        return await self._around(
            "begin_upload", key, lambda: self._store.begin_upload(key, headers)
        )

    async def upload_part(
        self, key: str, upload: UploadId, number: int, body: FileSlice
    ) -> PartReceipt:
        """See `ObjectStore.upload_part`."""
        return await self._around(
            "upload_part", key, lambda: self._store.upload_part(key, upload, number, body)
        )

    async def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """See `ObjectStore.copy_part`."""
        return await self._around(
            "copy_part",
            key,
            lambda: self._store.copy_part(
                key, upload, number, source=source, start=start, stop=stop
            ),
        )

    async def list_parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        """See `ObjectStore.list_parts`."""
        return await self._around("list_parts", key, lambda: self._store.list_parts(key, upload))

    async def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.complete_upload`."""
        return await self._around(
            "complete_upload",
            key,
            lambda: self._store.complete_upload(key, upload, parts, expect=expect),
        )

    async def abort_upload(self, key: str, upload: UploadId) -> None:
        """See `ObjectStore.abort_upload`."""
        await self._around("abort_upload", key, lambda: self._store.abort_upload(key, upload))

    async def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """See `ObjectStore.copy`; the script's key is the target."""
        return await self._around(
            "copy",
            target,
            lambda: self._store.copy(source, target, expect=expect, headers=headers),
        )

    async def delete(self, key: str, *, expect: Expect = "any") -> None:
        """See `ObjectStore.delete`."""
        await self._around("delete", key, lambda: self._store.delete(key, expect=expect))

    async def delete_many(self, versions: Sequence[Version]) -> Mapping[str, CognitoFSError]:
        """See `ObjectStore.delete_many`; the script's key is the first one."""
        key = versions[0][0] if versions else ""
        return await self._around("delete_many", key, lambda: self._store.delete_many(versions))

    async def _around(
        self, operation: Operation, key: str, call: Callable[[], Awaitable[_T]]
    ) -> _T:
        self.requests[operation] += 1
        await self._meet(operation, key, "before")
        answer = await call()
        await self._meet(operation, key, "after")
        return answer

    async def _meet(self, operation: Operation, key: str, moment: Moment) -> None:
        for stall in tuple(self._stalls):
            if _matches(stall, operation, key, moment) and not stall.released.is_set():
                await stall.hold()
        for fault in self._faults:
            if fault.times and _matches(fault, operation, key, moment):
                fault.times -= 1
                await trio.lowlevel.checkpoint()
                raise fault.error.with_traceback(None)


def _matches(rule: _Fault | Stall, operation: Operation, key: str, moment: Moment) -> bool:
    return rule.operation == operation and rule.moment == moment and rule.key in (None, key)
