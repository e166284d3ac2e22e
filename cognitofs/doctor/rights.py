"""What the role really may do below the person's own prefix, found out by doing it.

Owns the order of the probes. Leaves nothing: what cannot be taken away again is not made, so the
right to delete and to abort are tried first, on what does not exist (S3 checks the right before it
looks). Not done in a mount, which must write nothing: `preflight.py`.
"""

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import trio

from cognitofs.doctor.findings import Check, Finding, hint, ok, problem
from cognitofs.errors import (
    AccessDenied,
    Changed,
    CognitoFSError,
    ConditionalConflict,
    NoSuchUpload,
    NotFound,
    PreconditionFailed,
    StoreError,
)
from cognitofs.store.interface import (
    ETag,
    Expect,
    FileSlice,
    ObjectHeaders,
    ObjectStore,
    UploadId,
)

_NOBODY = ETag('"00000000000000000000000000000000"')
_NO_UPLOAD = UploadId("cognitofs-doctor-no-such-upload")
_BYTES = b"written by cognitofs doctor; remove it if you find it\n"
_CONDITION_FAILED = (PreconditionFailed, ConditionalConflict, NotFound, Changed)


@dataclass(slots=True)
class Probe:
    """The probes of one prefix; *policy* is the command that prints what is missing."""

    store: ObjectStore
    s3_uri: str
    policy: str = "cognitofs policy role"
    _key: str = field(default_factory=lambda: f".cognitofs-doctor-{secrets.token_hex(8)}")
    _may: dict[Check, bool] = field(default_factory=dict)

    async def examine(self) -> AsyncIterator[Finding]:
        """Yield what the role may do. Raises StoreError when the bucket cannot be asked at all."""
        yield await self._tried(Check.LIST, "s3:ListBucket", self._list)
        yield await self._tried(Check.DELETE, "s3:DeleteObject", self._delete)
        yield await self._optional(Check.ABORT, "s3:AbortMultipartUpload", self._abort_nothing)
        yield await self._optional(Check.LIST_PARTS, "s3:ListMultipartUploadParts", self._no_parts)
        if not self._may[Check.DELETE]:
            yield await self._tried(Check.WRITE, "s3:PutObject", self._put_nothing)
            return
        async for finding in self._with_an_object():
            yield finding

    @property
    def conditions_hold(self) -> bool:
        """Whether the server was seen to refuse a write whose condition is false."""
        return self._may.get(Check.CONDITIONS, False)

    async def _with_an_object(self) -> AsyncIterator[Finding]:
        try:
            yield await self._tried(Check.WRITE, "s3:PutObject", self._put)
            if not self._may[Check.WRITE]:
                return
            yield await self._tried(Check.READ, "s3:GetObject", self._read)
            yield await self._conditions()
            yield await self._tried(Check.COPY, "s3:GetObject and s3:PutObject", self._copy)
            if self._may[Check.ABORT]:
                yield await self._tried(Check.MULTIPART, "s3:PutObject", self._multipart)
        finally:
            left = await self._cleaned()
        if left:
            yield problem(
                Check.LEFTOVERS,
                f"The probe {self.s3_uri}{self._key} could not be removed: {left}",
                "Remove it by hand.",
            )
        else:
            yield ok(Check.LEFTOVERS, "Nothing of the examination is left in the bucket.")

    async def _cleaned(self) -> str:
        """Remove the probe; return why that failed, "" when it did not."""
        with trio.CancelScope(shield=True):  # also after Ctrl-C; a delete ends by itself
            try:
                await self.store.delete(self._key)
            except CognitoFSError as exc:
                return str(exc)
        return ""

    async def _tried(
        self, check: Check, action: str, attempt: Callable[[], Awaitable[None]]
    ) -> Finding:
        self._may[check] = False
        try:
            await attempt()
        except AccessDenied as exc:
            return problem(check, str(exc), self._remedy(action, str(exc)))
        except StoreError as exc:
            if check is Check.LIST:
                raise
            return problem(check, str(exc), "Compare the server's limits with docs/DESIGN.md.")
        self._may[check] = True
        return ok(check, f"{_WORKS[check]} below {self.s3_uri}")

    async def _optional(
        self, check: Check, action: str, attempt: Callable[[], Awaitable[None]]
    ) -> Finding:
        found = await self._tried(check, action, attempt)
        if self._may[check]:
            return found
        return hint(
            check,
            f"{action} is not allowed (as with AWS Amplify's stock roles); what an upload that is "
            "given up has sent stays invisible in the bucket.",
            "Add it to the role, or let the bucket remove them: `cognitofs policy lifecycle`.",
        )

    def _remedy(self, action: str, said: str) -> str:
        if "kms" in said.lower():
            return (
                "The bucket is encrypted with a KMS key that the role may not use: "
                f"`{self.policy} --kms KEY_ARN` prints what is missing."
            )
        return f"The role needs {action}; `{self.policy}` prints the policy for the administrator."

    # -- the attempts ----------------------------------------------------------------------------

    async def _list(self) -> None:
        await self.store.list_page("", delimiter="", limit=1)

    async def _delete(self) -> None:
        await self.store.delete(self._key)  # a missing object is no error

    async def _abort_nothing(self) -> None:
        await self.store.abort_upload(self._key, _NO_UPLOAD)

    async def _no_parts(self) -> None:
        try:
            await self.store.list_parts(self._key, _NO_UPLOAD)
        except NoSuchUpload:
            return

    async def _put_nothing(self) -> None:
        """Try to write what cannot be written: its condition does not hold."""
        try:
            await self.store.put(self._key, b"", ObjectHeaders(), expect=_NOBODY)
        except _CONDITION_FAILED:
            return

    async def _put(self) -> None:
        await self.store.put(self._key, _BYTES, ObjectHeaders(), expect="any")

    async def _read(self) -> None:
        info = (await self.store.head(self._key)).info
        await self.store.read(info, 0, info.size)

    async def _copy(self) -> None:
        info = (await self.store.head(self._key)).info
        headers = ObjectHeaders(content_type="text/plain")
        await self.store.copy(info, self._key, expect="any", headers=headers)

    async def _multipart(self) -> None:
        upload = await self.store.begin_upload(self._key, ObjectHeaders())
        fd = os.memfd_create("cognitofs-doctor")
        try:
            os.write(fd, _BYTES)
            await self.store.upload_part(self._key, upload, 1, FileSlice(fd, 0, len(_BYTES)))
            if self._may[Check.LIST_PARTS]:
                await self.store.list_parts(self._key, upload)
        finally:
            os.close(fd)
            await self.store.abort_upload(self._key, upload)

    async def _conditions(self) -> Finding:
        """Tell whether the server refuses a write whose condition does not hold."""
        ignored = []
        conditions: tuple[tuple[str, Expect], ...]
        conditions = (("If-None-Match", "absent"), ("If-Match", _NOBODY))
        for name, expect in conditions:
            try:
                await self.store.put(self._key, _BYTES, ObjectHeaders(), expect=expect)
            except _CONDITION_FAILED:
                continue
            except StoreError as exc:
                return problem(Check.CONDITIONS, str(exc), _LAST_WINS)
            ignored.append(name)
        if ignored:
            text = f"This server ignores {' and '.join(ignored)} of PutObject."
            return problem(Check.CONDITIONS, text, _LAST_WINS)
        self._may[Check.CONDITIONS] = True
        return ok(Check.CONDITIONS, "A write that would overwrite another host's is refused.")


_WORKS = {
    Check.LIST: "Listing works",
    Check.DELETE: "Removing works",
    Check.ABORT: "An upload can be given up",
    Check.LIST_PARTS: "The parts of an upload can be listed",
    Check.WRITE: "Writing works",
    Check.READ: "Reading works",
    Check.COPY: "Copying inside S3 works",
    Check.MULTIPART: "Uploading in parts works",
}
_LAST_WINS = (
    "Use the prefix from one host at a time: if two change one file, the last one wins and the "
    "other change is lost."
)
