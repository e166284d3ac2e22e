"""What a commit that did not plainly succeed means. Pure.

A conditional PUT whose answer was lost comes back as 412 against our own write, a Complete as
NoSuchUpload. "An object exists" is no proof; the txid in its metadata is.
"""

from enum import Enum

from cognitofs.errors import CognitoFSError, NoSuchUpload
from cognitofs.spool.seal import Seal
from cognitofs.store.interface import ObjectHead
from cognitofs.store.records import TXID


class Verdict(Enum):
    """What follows from a failed or unanswered commit."""

    DONE = "our commit is on S3"
    RETRY = "it is not; the same request may be sent again"
    RESTART = "it is not, and the multipart upload is gone; send the parts again"
    REBASE = "an earlier seal of ours, thought lost, is on S3; go on from there"
    RECREATE = "the name was deleted elsewhere; an edit beats a delete"
    CONFLICT = "the name was changed elsewhere"


def judge(seal: Seal, error: CognitoFSError, found: ObjectHead | None) -> Verdict:
    """Decide what *error* of the commit of *seal* means, given what HEAD *found* afterwards."""
    txid = found.headers.metadata.get(TXID) if found is not None else None
    if found is not None and txid == seal.txid:
        return Verdict.DONE if found.info.size == seal.size else Verdict.CONFLICT
    if found is not None and seal.key.endswith("/"):
        return Verdict.DONE  # the directory exists: all that a marker says
    if _is_as_expected(seal, found):
        return Verdict.RESTART if isinstance(error, NoSuchUpload) else Verdict.RETRY
    if txid in seal.supersedes:
        return Verdict.REBASE
    if found is None and not seal.needs_base:
        return Verdict.RECREATE
    return Verdict.CONFLICT


def _is_as_expected(seal: Seal, found: ObjectHead | None) -> bool:
    if seal.expect == "any":
        return True
    if found is None:
        return seal.expect == "absent"
    return found.info.etag == seal.expect
