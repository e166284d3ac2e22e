"""S3Store: the objects below one prefix of one bucket, for trio.

Owns which call runs in which lane, and which may be repeated; `BlockingStore` does the work.

INVARIANT: a commit (put, complete, copy, delete, delete_many) is never repeated here.
"""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from cognitofs.errors import CognitoFSError
from cognitofs.parallel import run_all
from cognitofs.store.bandwidth import Bandwidth, Bucket
from cognitofs.store.blocking import BlockingStore
from cognitofs.store.clock import SigningClock
from cognitofs.store.endpoints import endpoint_of
from cognitofs.store.interface import (
    Body,
    Expect,
    FileSlice,
    ObjectHead,
    ObjectHeaders,
    ObjectInfo,
    Page,
    PartReceipt,
    UploadId,
    Version,
)
from cognitofs.store.keys import KeySource
from cognitofs.store.lanes import Lane, Lanes
from cognitofs.store.requests import may_stand_in_xml
from cognitofs.store.storage import NOTHING_ASKED, StorageOptions
from cognitofs.store.wire import Wire

DELETES_AT_ONCE = 64
"""Where they do not go in one request; the lane's own limit is usually lower."""


@dataclass(frozen=True, slots=True)
class S3Config:
    """Which objects, and how to reach them.

    *prefix* is "" or ends with "/". *endpoint_url* "" is AWS. *ca_bundle* is a PEM file.
    *patience* is how many seconds a call that may be repeated goes on trying, *silence* how many a
    HEAD or LIST waits for a server that says nothing. Bandwidths are in bytes a second, 0 for none.
    *batch_deletes* says that a server other than AWS minds the ETags in DeleteObjects.
    """

    bucket: str
    region: str
    prefix: str
    endpoint_url: str = ""
    ca_bundle: str = ""
    fips: bool = False
    dual_stack: bool = False
    max_transfers: int = 8
    max_metadata: int = 16
    patience: float = 20.0
    silence: float = 20.0
    bandwidth_up: int = 0
    bandwidth_down: int = 0
    batch_deletes: bool = False
    storage: StorageOptions = NOTHING_ASKED


class S3Store:
    """An `ObjectStore` over S3's own protocol."""

    def __init__(
        self,
        config: S3Config,
        keys: KeySource,
        *,
        now: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        """Ask S3 nothing yet. *now* signs and is compared with S3's clock; *random* jitters.

        Raises ConfigError.
        """
        self._lanes = Lanes(
            transfers=config.max_transfers,
            metadata=config.max_metadata,
            patience=config.patience,
            silence=config.silence,
            random=random,
        )
        self._batches = not config.endpoint_url or config.batch_deletes
        clock = SigningClock(now)
        endpoint = endpoint_of(
            config.bucket,
            config.region,
            endpoint_url=config.endpoint_url,
            fips=config.fips,
            dual_stack=config.dual_stack,
        )
        self._wire = Wire(
            endpoint,
            connections=config.max_transfers + config.max_metadata,
            ca_bundle=config.ca_bundle,
            bandwidth=Bandwidth(Bucket(config.bandwidth_up), Bucket(config.bandwidth_down)),
            now=clock.now,
        )
        self._blocking = BlockingStore(
            config.bucket, config.prefix, self._wire, keys, clock=clock, storage=config.storage
        )

    def beside(self, prefix: str) -> "S3Store":
        """Return a store of another prefix of the bucket, with these connections and limits.

        Raises ConfigError when *prefix* cannot be one.
        """
        other = copy.copy(self)
        other._blocking = self._blocking.beside(prefix)
        return other

    @property
    def transfers(self) -> Lane:
        """How many requests with content run at once, by S3's own wish at the moment."""
        return self._lanes.transfers

    @property
    def metadata(self) -> Lane:
        """How many requests about names and attributes run at once, likewise."""
        return self._lanes.metadata

    def close(self) -> None:
        """Close idle connections."""
        self._wire.close()

    async def head(self, key: str) -> ObjectHead:
        """See `ObjectStore.head`."""
        call = partial(self._blocking.head, key)
        return await self._lanes.repeatedly(self._lanes.metadata, call, is_abandonable=True)

    async def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "/",
        token: str | None = None,
        start_after: str = "",
        limit: int = 1000,
    ) -> Page:
        """See `ObjectStore.list_page`."""
        call = partial(
            self._blocking.list_page,
            prefix,
            delimiter=delimiter,
            token=token,
            start_after=start_after,
            limit=limit,
        )
        return await self._lanes.repeatedly(self._lanes.metadata, call, is_abandonable=True)

    async def read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        """See `ObjectStore.read`. An empty range is not asked for."""
        call = partial(self._blocking.read, info, start, stop)
        return await self._lanes.repeatedly(self._lanes.transfers, call, is_abandonable=True)

    async def read_into(self, info: ObjectInfo, start: int, stop: int, fd: int) -> None:
        """See `ObjectStore.read_into`. Also raises SpoolDamaged when *fd* cannot be written."""
        call = partial(self._blocking.read_into, info, start, stop, fd)
        await self._lanes.repeatedly(self._lanes.transfers, call)

    async def put(
        self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.put`. `modified` is approximate: the Date of the answer."""
        return await self._lanes.once(
            self._lanes.transfers, partial(self._blocking.put, key, body, headers, expect=expect)
        )

    async def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        """See `ObjectStore.begin_upload`."""
        call = partial(self._blocking.begin_upload, key, headers)
        return await self._lanes.repeatedly(self._lanes.metadata, call)

    async def upload_part(
        self, key: str, upload: UploadId, number: int, body: FileSlice
    ) -> PartReceipt:
        """See `ObjectStore.upload_part`."""
        call = partial(self._blocking.upload_part, key, upload, number, body)
        return await self._lanes.repeatedly(self._lanes.transfers, call)

    async def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """See `ObjectStore.copy_part`."""
        call = partial(
            self._blocking.copy_part, key, upload, number, source=source, start=start, stop=stop
        )
        return await self._lanes.repeatedly(self._lanes.transfers, call)

    async def list_parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        """See `ObjectStore.list_parts`."""
        call = partial(self._blocking.list_parts, key, upload)
        return await self._lanes.repeatedly(self._lanes.metadata, call, is_abandonable=True)

    async def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.complete_upload`. `modified` is approximate, as for `put`."""
        return await self._lanes.once(
            self._lanes.transfers,
            partial(self._blocking.complete_upload, key, upload, tuple(parts), expect=expect),
        )

    async def abort_upload(self, key: str, upload: UploadId) -> None:
        """See `ObjectStore.abort_upload`."""
        await self._lanes.repeatedly(
            self._lanes.metadata, partial(self._blocking.abort_upload, key, upload)
        )

    async def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """See `ObjectStore.copy`."""
        return await self._lanes.once(
            self._lanes.transfers,
            partial(self._blocking.copy, source, target, expect=expect, headers=headers),
        )

    async def delete(self, key: str, *, expect: Expect = "any") -> None:
        """See `ObjectStore.delete`."""
        await self._lanes.once(
            self._lanes.metadata, partial(self._blocking.delete, key, expect=expect)
        )

    async def delete_many(self, versions: Sequence[Version]) -> Mapping[str, CognitoFSError]:
        """See `ObjectStore.delete_many`.

        Where it is not known that the server minds the ETags of DeleteObjects, and for keys that
        XML cannot name, each object goes with a request of its own.
        """
        failures: dict[str, CognitoFSError] = {}
        batch = [v for v in versions if self._batches and may_stand_in_xml(v[0])]
        single = [v for v in versions if not (self._batches and may_stand_in_xml(v[0]))]

        async def delete_one(key: str, expect: Expect) -> None:
            try:
                await self.delete(key, expect=expect)
            except CognitoFSError as exc:
                failures[key] = exc

        jobs = (partial(delete_one, key, expect) for key, expect in single)
        await run_all(jobs, limit=DELETES_AT_ONCE)
        if batch:
            call = partial(self._blocking.delete_many, batch)
            failures |= await self._lanes.once(self._lanes.metadata, call)
        return failures
