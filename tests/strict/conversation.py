"""What the strict server hears and says: calls, replies, refusals, and their XML.

Source of the documents: Amazon S3 API Reference, the response syntax of each operation.
"""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import quote_plus, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_REFERENCED = re.compile("[\x00-\x1f\x7f\ufffe\uffff]")


class Refused(Exception):
    """What is answered instead, with S3's code for it."""

    def __init__(self, status: int, code: str, message: str = "It is refused.") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True)
class Call:
    """One request; *path* and *raw_query* are as sent, names of *headers* in lower case."""

    method: str
    path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def bucket(self) -> str:
        """The first segment of the path, "" for none."""
        return unquote(self.path[1:].partition("/")[0])

    @property
    def key(self) -> str:
        """What follows the bucket, "" for none."""
        try:
            return unquote(self.path[1:].partition("/")[2], errors="strict")
        except UnicodeDecodeError:
            raise Refused(400, "InvalidURI", "The key is not UTF-8.") from None

    @property
    def query(self) -> dict[str, str]:
        """The decoded query; a plus stands for itself, as in signatures."""
        pairs = (pair.partition("=") for pair in self.raw_query.split("&") if pair)
        return {unquote(name): unquote(value) for name, _, value in pairs}

    def document(self, name: str) -> ElementTree.Element:
        """Return the body as XML without namespaces, its root a *name*."""
        try:
            root = ElementTree.fromstring(self.body)
        except ElementTree.ParseError as exc:
            raise Refused(400, "MalformedXML", str(exc)) from None
        for node in root.iter():
            node.tag = node.tag.rpartition("}")[2]
        if root.tag != name:
            raise Refused(400, "MalformedXML", f"This is no {name}.")
        return root


@dataclass(frozen=True)
class Reply:
    """One answer; *length* is what an answer to HEAD would have had."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None


def document(name: str, content: str, **headers: str) -> Reply:
    """Answer with an XML document."""
    named = {key.replace("_", "-"): value for key, value in headers.items() if value}
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{NAMESPACE}">{content}</{name}>'
    return Reply(200, {"content-type": "application/xml", **named}, body.encode())


def refusal(status: int, code: str, message: str) -> Reply:
    """Answer with an <Error>, which has no namespace."""
    content = elements(("Code", code), ("Message", message))
    return Reply(status, {"content-type": "application/xml"}, f"<Error>{content}</Error>".encode())


def elements(*pairs: tuple[str, object]) -> str:
    """Return elements with text; what XML 1.0 lacks becomes a reference, as S3 sends it."""
    return "".join(f"<{name}>{_text(str(value))}</{name}>" for name, value in pairs)


def nested(name: str, items: Iterable[str]) -> str:
    """Return an element for each of *items*, which are XML already."""
    return "".join(f"<{name}>{item}</{name}>" for item in items)


def url_encoded(text: str) -> str:
    """Encode as EncodingType=url asks: a space is a plus."""
    return quote_plus(text, safe="/")


def iso_date(seconds: float) -> str:
    """Return a time as XML documents have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


def http_date(seconds: float) -> str:
    """Return a time as headers have it."""
    return formatdate(seconds, usegmt=True)


def _text(text: str) -> str:
    return _REFERENCED.sub(lambda found: f"&#x{ord(found[0]):x};", escape(text))
