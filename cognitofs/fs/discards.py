"""Discarding: a person gives up bytes that S3 does not have.

Owns what follows for the name: it stands again for what S3 has, or for nothing.
"""

import trio

from cognitofs.errors import UnsentFiles
from cognitofs.fs import namechange
from cognitofs.fs.files import Files
from cognitofs.fs.openfile import OpenFile
from cognitofs.fs.rig import Rig


async def discard(rig: Rig, files: Files, file: OpenFile) -> None:
    """Forget the unsent content of *file* for good; nothing changes on S3.

    A commit under way is waited for: what S3 has by then stays. Raises UnsentFiles when a program
    has the file open: it would go on with bytes that nobody keeps.
    """
    with files.using(file.inode):
        async with file.lock:
            if file.handles:
                raise UnsentFiles(
                    f"{file.inode.key!r} is open in a program; close it there, then discard it."
                )
            await file.stop_sending()
            if file.must_send_again:
                with trio.CancelScope(shield=True):  # a local commit ends by itself
                    await namechange.forget_name(file)
                if not file.inode.children:
                    rig.namespace.distrust(file.inode)
