"""Facts: what the mount tells about one file as `user.cognitofs.*`; read-only.

Pure. Meant for scripts beside `cognitofs status`: where the object is, which version the name
stands for, and whether S3 has it.
"""

from collections.abc import Callable, Mapping

from cognitofs.errors import LoginRequired, NoSuchAttribute
from cognitofs.fs.openfile import OpenFile
from cognitofs.tree.inodes import Inode
from cognitofs.tree.xattrs import FACTS

_Fact = Callable[[Inode, OpenFile | None], str]


def fact(inode: Inode, file: OpenFile | None, name: str) -> bytes:
    """Return the fact *name* (`user.cognitofs.state`). Raises NoSuchAttribute."""
    tell = _FACTS.get(name.removeprefix(FACTS))
    found = tell(inode, file) if tell is not None else ""
    if not found:
        raise NoSuchAttribute("There is no such fact about the file.")
    return found.encode()


def _state(inode: Inode, file: OpenFile | None) -> str:
    upload = file.upload if file is not None else None
    if upload is None:
        return "dirty" if file is not None and file.dirty else "clean"
    if isinstance(upload.error, LoginRequired):
        return "waiting"
    return "uploading" if upload.state == "committing" else upload.state


def _error(inode: Inode, file: OpenFile | None) -> str:
    upload = file.upload if file is not None else None
    return str(upload.error) if upload is not None and upload.error is not None else ""


def _uploaded(inode: Inode, file: OpenFile | None) -> str:
    if file is None or not (file.dirty or file.upload):
        return str(inode.size)
    multipart = file.content.multipart
    sent = file.upload.sent_bytes if file.upload is not None else 0
    return str(sent or (multipart.sent_bytes if multipart is not None else 0))


_FACTS: Mapping[str, _Fact] = {
    "state": _state,
    "error": _error,
    "uploaded_bytes": _uploaded,
    "key": lambda inode, _: inode.key,
    "etag": lambda inode, _: inode.remote.etag if inode.remote is not None else "",
    "content_type": lambda inode, _: inode.headers.content_type if inode.headers else "",
}
