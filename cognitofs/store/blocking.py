"""BlockingStore: what each call of `ObjectStore` says to S3. Runs in worker threads.

Owns the prefix: `_absolute` makes every key that is sent, and `_exchange` lets no other pass.
Owns what a refusal means for the call that met it. It knows neither trio nor repetition.

INVARIANT: a request is sent once. It is sent again only after S3 has answered that the keys had
expired or the date was wrong, in which case it did nothing.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from cognitofs.errors import (
    Changed,
    CognitoFSError,
    ConfigError,
    NoSuchUpload,
    NotFound,
    PreconditionFailed,
    Rejected,
)
from cognitofs.store import answers, checksums, limits, requests, translate
from cognitofs.store.bodies import blocks, size_of
from cognitofs.store.clock import SigningClock
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
from cognitofs.store.receiving import check_received, check_sent, writing
from cognitofs.store.requests import Request
from cognitofs.store.storage import NOTHING_ASKED, StorageOptions
from cognitofs.store.wire import Wire, WireAnswer

_T = TypeVar("_T")


class BlockingStore:
    """The objects below *prefix* of *bucket*. Safe to use from many threads."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        wire: Wire,
        keys: KeySource,
        *,
        clock: SigningClock,
        storage: StorageOptions = NOTHING_ASKED,
    ) -> None:
        """Ask nothing yet; *clock* is the one *wire* signs by.

        Raises ConfigError when *prefix* cannot be one.
        """
        self._bucket = bucket
        self._prefix = _checked_prefix(prefix)
        self._wire = wire
        self._keys = keys
        self._clock = clock
        self._storage = storage

    def beside(self, prefix: str) -> "BlockingStore":
        """Return the same for another *prefix*. Raises ConfigError when it cannot be one."""
        other = copy.copy(self)
        other._prefix = _checked_prefix(prefix)
        return other

    def head(self, key: str) -> ObjectHead:
        """See `ObjectStore.head`."""
        request = requests.head(self._absolute(key))
        return self._exchange(request, lambda answer: answers.head(key, answer.headers))

    def list_page(
        self, prefix: str, *, delimiter: str, token: str | None, start_after: str, limit: int
    ) -> Page:
        """See `ObjectStore.list_page`."""
        limits.check_listing(prefix)
        request = requests.list_page(
            self._prefix + prefix,
            delimiter=delimiter,
            token=token,
            start_after=self._prefix + start_after if start_after else "",
            limit=max(1, min(limit, limits.PAGE_ENTRIES)),
        )
        found = self._exchange(request, lambda answer: answers.listing(answer.read(), self._prefix))
        return _tidied(found, "" if token is not None else start_after)

    def read(self, info: ObjectInfo, start: int, stop: int) -> bytes:
        """See `ObjectStore.read`. An empty range cannot be asked for and is not."""
        limits.check_range(info, start, stop)
        if start == stop:
            return b""

        def receive(answer: WireAnswer) -> bytes:
            answers.check_ranged(info, start, stop, answer)
            data = answer.read(limit=stop - start)
            check_received(info, stop - start, (data,), answer)
            return data

        return self._get(info, start, stop, receive)

    def read_into(self, info: ObjectInfo, start: int, stop: int, fd: int) -> None:
        """See `ObjectStore.read_into`. Also raises SpoolDamaged when *fd* cannot be written."""
        limits.check_range(info, start, stop)
        if start == stop:
            return

        def receive(answer: WireAnswer) -> None:
            answers.check_ranged(info, start, stop, answer)
            written = writing(answer.blocks(stop - start), fd, start)
            check_received(info, stop - start, written, answer)

        self._get(info, start, stop, receive)

    def put(self, key: str, body: Body, headers: ObjectHeaders, *, expect: Expect) -> ObjectInfo:
        """See `ObjectStore.put`."""
        checksum = checksums.checksum(blocks(body))
        request = requests.put(self._absolute(key), body, checksum, headers, expect)

        def receive(answer: WireAnswer) -> ObjectInfo:
            check_sent(key, checksum, answers.body_checksum(answer.headers))
            return self._classed(answers.stored(key, size_of(body), answer.headers))

        return self._exchange(request, receive)

    def begin_upload(self, key: str, headers: ObjectHeaders) -> UploadId:
        """See `ObjectStore.begin_upload`."""
        request = requests.begin_upload(self._absolute(key), headers)
        return self._exchange(request, lambda answer: answers.upload_id(answer.read()))

    def upload_part(self, key: str, upload: UploadId, number: int, body: FileSlice) -> PartReceipt:
        """See `ObjectStore.upload_part`."""
        limits.check_part_number(number)
        checksum = checksums.checksum(blocks(body))
        request = requests.upload_part(self._absolute(key), upload, number, body, checksum)

        def receive(answer: WireAnswer) -> PartReceipt:
            returned = answers.body_checksum(answer.headers)
            check_sent(key, checksum, returned)
            etag = answers.etag_of(answer.headers)
            return PartReceipt(number, etag, size_of(body), returned)

        return self._exchange(request, receive)

    def copy_part(
        self, key: str, upload: UploadId, number: int, *, source: ObjectInfo, start: int, stop: int
    ) -> PartReceipt:
        """See `ObjectStore.copy_part`."""
        limits.check_part_number(number)
        limits.check_range(source, start, stop)
        request = requests.copy_part(
            self._absolute(key),
            upload,
            number,
            source=self._copy_source(source),
            etag=source.etag,
            start=start,
            stop=stop,
        )
        try:
            body = self._exchange(request, self._document(request))
        except (NotFound, PreconditionFailed) as exc:
            raise _changed(source) from exc
        return answers.copied_part(number, stop - start, body)

    def list_parts(self, key: str, upload: UploadId) -> tuple[PartReceipt, ...]:
        """See `ObjectStore.list_parts`."""
        found: list[PartReceipt] = []
        marker: int | None = 0
        while marker is not None:
            request = requests.list_parts(self._absolute(key), upload, marker)
            page, following = self._exchange(request, lambda answer: answers.parts(answer.read()))
            found.extend(page)
            marker = following if following is not None and following > marker else None
        return tuple(found)

    def complete_upload(
        self, key: str, upload: UploadId, parts: Sequence[PartReceipt], *, expect: Expect
    ) -> ObjectInfo:
        """See `ObjectStore.complete_upload`."""
        limits.check_parts(parts)
        request = requests.complete_upload(self._absolute(key), upload, parts, expect)
        document = self._document(request)

        def receive(answer: WireAnswer) -> ObjectInfo:
            body = document(answer)
            sent = request.headers.get(checksums.HEADER, "")
            check_sent(key, sent, answers.completed_checksum(body))
            size = sum(part.size for part in parts)
            return self._classed(answers.completed(key, size, answer.headers, body))

        return self._exchange(request, receive)

    def abort_upload(self, key: str, upload: UploadId) -> None:
        """See `ObjectStore.abort_upload`."""
        try:
            self._exchange(requests.abort_upload(self._absolute(key), upload), _ignore)
        except NoSuchUpload:
            return

    def copy(
        self, source: ObjectInfo, target: str, *, expect: Expect, headers: ObjectHeaders | None
    ) -> ObjectInfo:
        """See `ObjectStore.copy`."""
        limits.check_copy(source, target, headers)
        request = requests.copy(
            self._absolute(target),
            source=self._copy_source(source),
            info=source,
            expect=expect,
            headers=headers,
        )
        try:
            body = self._exchange(request, self._document(request))
        except (NotFound, PreconditionFailed) as exc:
            # The status does not say which of the two conditions did not hold.
            if expect == "any" or not self._is_still(source):
                raise _changed(source) from exc
            raise
        return answers.copied(target, source, body)

    def delete(self, key: str, *, expect: Expect) -> None:
        """See `ObjectStore.delete`."""
        limits.check_delete(key, expect)
        try:
            self._exchange(requests.delete(self._absolute(key), expect), _ignore)
        except NotFound:  # with a condition S3 answers 404 for a missing object
            return
        except PreconditionFailed:  # SeaweedFS answers 412 for it
            if not self._is_missing(key):
                raise

    def delete_many(self, versions: Sequence[Version]) -> dict[str, CognitoFSError]:
        """See `ObjectStore.delete_many`; *versions* are such as XML can name."""
        limits.check_deletes(versions, prefix=self._prefix)
        if not versions:
            return {}
        request = requests.delete_many(self._prefix, versions)

        def receive(answer: WireAnswer) -> list[tuple[str, str, str]]:
            return answers.undeleted(answer.read(), self._prefix)

        refused = self._exchange(request, receive)
        failures = {key: self._refused_delete(key, *why) for key, *why in refused}
        return {key: exc for key, exc in failures.items() if not isinstance(exc, NotFound)}

    def _refused_delete(self, key: str, code: str, message: str) -> CognitoFSError:
        refusal = translate.Refusal(200, code, message)
        return translate.error_of(refusal, "DeleteObjects", key, now=self._clock.now())

    def _get(
        self, info: ObjectInfo, start: int, stop: int, receive: Callable[[WireAnswer], _T]
    ) -> _T:
        key = self._absolute(info.key)
        if start == 0 and stop == info.size:
            request = requests.get(key, info.etag)
        else:
            request = requests.get_range(key, info.etag, start, stop)
        try:
            return self._exchange(request, receive)
        except (NotFound, PreconditionFailed) as exc:
            raise _changed(info) from exc

    def _is_still(self, info: ObjectInfo) -> bool:
        try:
            return self.head(info.key).info.etag == info.etag
        except NotFound:
            return False

    def _is_missing(self, key: str) -> bool:
        try:
            self.head(key)
        except NotFound:
            return True
        return False

    def _classed(self, info: ObjectInfo) -> ObjectInfo:
        """Return *info* with the class it was stored as: the answers do not say it.

        A later copy asks for the class of its source, else S3 makes it STANDARD.
        """
        asked = self._storage.storage_class
        return replace(info, storage_class=asked) if asked not in ("", "STANDARD") else info

    def _exchange(self, request: Request, receive: Callable[[WireAnswer], _T]) -> _T:
        """Send *request*, once more with new keys or another date if those were refused."""
        self._check_inside(request)
        asked = self._storage.headers(request.operation)
        if asked:
            request = replace(request, headers={**asked, **request.headers})
        for is_last in (False, True):
            keys = self._keys.current()
            with self._wire.exchange(request, keys) as answer:
                if 200 <= answer.status < 300:
                    return receive(answer)
                refusal = translate.refusal_of(answer)
            if not is_last and self._is_clock_corrected(refusal):
                continue
            if not refusal.may_be_expired or (is_last and not refusal.is_expired):
                break
            self._keys.invalidate(keys.access_key)
            if is_last:
                raise translate.still_expired(request.operation, self._shown(request))
        raise self._error(refusal, request)

    def _is_clock_corrected(self, refusal: translate.Refusal) -> bool:
        return refusal.may_be_skewed and self._clock.correct(refusal.date)

    def _document(self, request: Request) -> Callable[[WireAnswer], bytes]:
        """Return a reader of a body that may be an error although the status is 200.

        Source: API CompleteMultipartUpload and CopyObject; S3 sends the status before it knows.
        """

        def receive(answer: WireAnswer) -> bytes:
            body = answer.read()
            if answers.error_fields(body):
                raise self._error(
                    translate.refusal_from(answer.status, answer.headers, body), request
                )
            return body

        return receive

    def _error(self, refusal: translate.Refusal, request: Request) -> CognitoFSError:
        return translate.error_of(
            refusal, request.operation, self._shown(request), now=self._clock.now()
        )

    def _absolute(self, key: str) -> str:
        limits.check_key(key, prefix=self._prefix)
        return self._prefix + key

    def _copy_source(self, info: ObjectInfo) -> str:
        return requests.copy_source(self._bucket, self._absolute(info.key))

    def _check_inside(self, request: Request) -> None:
        """Let nothing out that is not about the prefix, whatever built it."""
        named = request.named or (request.key or dict(request.query).get("prefix", ""),)
        source = request.headers.get("x-amz-copy-source")
        inside = requests.copy_source(self._bucket, self._prefix)
        is_inside = all(key.startswith(self._prefix) for key in named)
        if not is_inside or not (source or inside).startswith(inside):
            raise Rejected(
                f"{request.operation} was about to leave the prefix of this mount and was not "
                "sent. Report it: this is a mistake of cognitofs."
            )

    def _shown(self, request: Request) -> str:
        named = request.key or dict(request.query).get("prefix", "")
        return named[len(self._prefix) :]


def _checked_prefix(prefix: str) -> str:
    segments = prefix.split("/")
    if prefix and (segments[-1] or not {"", ".", ".."}.isdisjoint(segments[:-1])):
        raise ConfigError(
            f"The prefix {prefix!r} cannot be mounted: it must end with '/' and have no empty, "
            "'.' or '..' part. Correct `root` in the profile."
        )
    return prefix


def _tidied(page: Page, after: str) -> Page:
    """Drop what is not below the prefix or does not sort behind *after*.

    That is the marker of the prefix itself, and a group whose members alone sort behind it.
    """
    objects = page.objects if not page.objects or page.objects[0].key else page.objects[1:]
    groups = page.prefixes
    if after:
        groups = tuple(name for name in groups if _in_order(name) > _in_order(after))
    return Page(objects, groups, page.token)


def _in_order(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def _ignore(answer: WireAnswer) -> None:
    answer.read()


def _changed(info: ObjectInfo) -> Changed:
    return Changed(
        f"The object {info.key!r} was replaced or removed by somebody else. Open the file again."
    )
