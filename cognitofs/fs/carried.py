"""Carried: mode, times and attributes as the headers of one file's objects carry them.

Owns the comparison of what S3 has with what the inode says, and taking over what S3 said.
"""

from dataclasses import replace

from cognitofs.fs.content import header_change, next_headers
from cognitofs.fs.rig import Rig
from cognitofs.store.interface import ETag, ObjectHead, ObjectHeaders, ObjectInfo
from cognitofs.transfer.headerwriter import HeaderWriter
from cognitofs.tree.attributes import Attributes, read_attributes
from cognitofs.tree.inodes import Inode


class Carried:
    """The headers of the objects of *inode*."""

    def __init__(self, rig: Rig, writer: HeaderWriter, inode: Inode) -> None:
        self._rig = rig
        self._writer = writer
        self._inode = inode

    def next_headers(self, streamed: ObjectHeaders | None, *, mtime_is_set: bool) -> ObjectHeaders:
        """Return the headers of the next commit; those *streamed* went ahead of its bytes."""
        if streamed is None:
            return next_headers(self._inode)
        if not mtime_is_set:
            self._show_mtime_of(streamed)
        return streamed

    def _show_mtime_of(self, headers: ObjectHeaders) -> None:
        """Show the mtime that S3 will show: a stream's headers went ahead of its last write."""
        inode = self._inode
        if inode.attributes.mtime_ns:
            carried = self._attributes_in(headers)
            inode.attributes = replace(inode.attributes, mtime_ns=carried.mtime_ns)

    def take_over(self, info: ObjectInfo, headers: ObjectHeaders) -> None:
        """Note that S3 has the file as *info* with *headers*."""
        self._inode.headers = headers
        if not self._inode.is_directory:
            self._inode.remote = info
            self._rig.namespace.describer.learn(ObjectHead(info, headers))

    def rewrite_if_changed(self) -> None:
        """Send mode and times of a stored file again when they are not those that S3 has."""
        inode = self._inode
        is_sent = inode.is_directory or inode.remote is not None
        if inode.headers is None or not is_sent:
            return
        carried, wanted = self._attributes_in(inode.headers), inode.attributes
        if carried != replace(wanted, kind=carried.kind):
            change = header_change(inode)
            self._writer.resume(*change)  # now: a drain must not miss it
            self._rig.uploader.nursery.start_soon(self._writer.record, *change)

    def _attributes_in(self, headers: ObjectHeaders) -> Attributes:
        info = self._inode.remote or ObjectInfo("", 0, ETag(""), 0)
        defaults = self._rig.namespace.describer.defaults
        return read_attributes(headers, info, defaults, is_marker=False)
