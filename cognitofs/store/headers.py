"""ObjectHeaders on the wire: what is sent with an object, and what came back.

Owns the encoding of user metadata: values that a header cannot carry as they are become RFC 2047
encoded words, which S3 decodes and encodes likewise (Amazon S3 User Guide, "Working with object
metadata"). INVARIANT: nothing built here can end a header line.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from cognitofs.errors import Rejected
from cognitofs.store.interface import ObjectHeaders
from cognitofs.store.limits import METADATA_BYTES

_FIELDS = {
    "content_type": "content-type",
    "cache_control": "cache-control",
    "content_disposition": "content-disposition",
    "content_encoding": "content-encoding",
    "content_language": "content-language",
    "expires": "expires",
}
_META = "x-amz-meta-"
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, 5.6.2, without upper case
_PLAIN = re.compile(r"(?! )(?!.*  )[\x20-\x7e]+(?<! )")  # signing folds other spaces
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WORD_BYTES = 45  # of text in one encoded word, which may have 75 characters (RFC 2047, 2)


def to_wire(headers: ObjectHeaders) -> dict[str, str]:
    """Return the HTTP headers that give an object *headers*.

    Raises Rejected when a name or a value cannot be sent, or all metadata is over 2 KB, which
    S3 counts before encoding (400 MetadataTooLarge).
    """
    size = sum(len(_utf8(name)) + len(_utf8(value)) for name, value in headers.metadata.items())
    if size > METADATA_BYTES:
        raise Rejected(
            f"The attributes of the object have {size} bytes and S3 takes {METADATA_BYTES}. "
            "Remove or shorten some."
        )
    sent = {}
    for attribute, name in _FIELDS.items():
        value = getattr(headers, attribute)
        if value:
            sent[name] = _checked(name, value)
    for name, value in headers.metadata.items():
        if not _TOKEN.fullmatch(name):
            raise Rejected(
                f"The attribute name {name!r} cannot be stored: S3 takes lower-case letters, "
                "digits and a few signs. Choose another name."
            )
        sent[_META + name] = encode_value(value)
    return sent


def from_wire(headers: Mapping[str, str]) -> ObjectHeaders:
    """Return what an answer says about its object; names of *headers* are in lower case."""
    fields = {attribute: headers.get(name, "") for attribute, name in _FIELDS.items()}
    metadata = {
        name[len(_META) :]: decode_value(value)
        for name, value in headers.items()
        if name.startswith(_META)
    }
    return ObjectHeaders(**fields, metadata=metadata)


def encode_value(text: str) -> str:
    """Return *text* as a header may carry it: itself, or RFC 2047 encoded words."""
    if not text or (_PLAIN.fullmatch(text) and "=?" not in text):
        return text
    words = []
    while text:
        size = _fitting(text)
        words.append(f"=?UTF-8?B?{b64encode(text[:size].encode()).decode('ascii')}?=")
        text = text[size:]
    return " ".join(words)


def decode_value(value: str) -> str:
    """Undo `encode_value`; a value that only looks encoded is returned as it is."""
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError):
        return value


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise Rejected(f"The attribute {text!r} is not valid Unicode. Set another one.") from exc


def _fitting(text: str) -> int:
    """Return how many characters of *text* fit in one word; at least one."""
    size = min(len(text), _WORD_BYTES)
    while len(text[:size].encode()) > _WORD_BYTES:
        size -= 1
    return size


def _checked(name: str, value: str) -> str:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise Rejected(f"The {name} of the object has letters no header can carry.") from exc
    if _CONTROL.search(value):
        raise Rejected(f"The {name} of the object has control characters. Set another one.")
    return value
