"""StorageOptions: how objects are kept in the bucket, who pays and whose bucket it must be.

Owns which headers each operation of S3 carries for them, and which combinations make sense.
Source: Amazon S3 API Reference, the request headers of each operation.

INVARIANT: what is written is encrypted as asked for in every way an object can come to be: put,
multipart upload and copy. A server that ignores an encryption header is not noticed here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cognitofs.errors import ConfigError
from cognitofs.store.interface import ARCHIVES

_CREATING = frozenset({"PutObject", "CreateMultipartUpload", "CopyObject"})
_COPYING = frozenset({"CopyObject", "UploadPartCopy"})
_ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
_CLASS = re.compile(r"[A-Z][A-Z0-9_]*")
_OWNER = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """What the person asked for; "" and False leave it to the bucket's own configuration.

    Raises ConfigError for what S3 would refuse later.
    """

    sse: str = ""
    sse_kms_key_id: str = ""
    bucket_key: bool = False
    storage_class: str = ""
    requester_pays: bool = False
    expected_bucket_owner: str = ""

    def __post_init__(self) -> None:
        _check_encryption(self)
        _check_class(self.storage_class)
        if self.expected_bucket_owner and not _OWNER.fullmatch(self.expected_bucket_owner):
            raise ConfigError(
                "`expected_bucket_owner` must be the 12 digits of an AWS account, "
                f"not {self.expected_bucket_owner!r}."
            )

    def headers(self, operation: str) -> Mapping[str, str]:
        """Return what a request of *operation* carries; names are in lower case.

        A copy keeps the storage class of its source, so CopyObject gets none here.
        """
        sent = self._common(operation)
        if operation in _CREATING:
            sent |= self._encryption()
            if self.storage_class and operation != "CopyObject":
                sent["x-amz-storage-class"] = self.storage_class
        return sent

    def _common(self, operation: str) -> dict[str, str]:
        sent = {}
        if self.requester_pays:
            sent["x-amz-request-payer"] = "requester"
        if self.expected_bucket_owner:
            sent["x-amz-expected-bucket-owner"] = self.expected_bucket_owner
            if operation in _COPYING:
                sent["x-amz-source-expected-bucket-owner"] = self.expected_bucket_owner
        return sent

    def _encryption(self) -> dict[str, str]:
        if not self.sse:
            return {}
        sent = {"x-amz-server-side-encryption": self.sse}
        if self.sse_kms_key_id:
            sent["x-amz-server-side-encryption-aws-kms-key-id"] = self.sse_kms_key_id
        if self.bucket_key:
            sent["x-amz-server-side-encryption-bucket-key-enabled"] = "true"
        return sent


def _check_encryption(options: StorageOptions) -> None:
    if options.sse and options.sse not in _ENCRYPTIONS:
        raise ConfigError(f"`sse` must be one of {', '.join(_ENCRYPTIONS)}, not {options.sse!r}.")
    if options.sse_kms_key_id and not options.sse.startswith("aws:kms"):
        raise ConfigError(
            "`sse_kms_key_id` names a key for `sse` aws:kms or aws:kms:dsse; set `sse`, too."
        )
    if not options.sse_kms_key_id.isascii() or not options.sse_kms_key_id.isprintable():
        raise ConfigError("`sse_kms_key_id` must be the id, ARN or alias of a KMS key.")
    if options.bucket_key and options.sse != "aws:kms":  # DSSE does not know bucket keys
        raise ConfigError("`bucket_key` is for `sse` aws:kms only; set `sse`, or remove it.")


def _check_class(name: str) -> None:
    if name and not _CLASS.fullmatch(name):
        raise ConfigError(
            f"`storage_class` must be one of S3's, such as STANDARD_IA, not {name!r}."
        )
    if name in ARCHIVES:
        raise ConfigError(
            f"Nothing that is stored as {name} can be read back before it is restored; choose "
            "another `storage_class` and let a lifecycle rule of the bucket archive old files."
        )


NOTHING_ASKED = StorageOptions()
