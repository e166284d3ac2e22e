"""Twelve bugs that would lose or tear data, each a few words of the package put otherwise.

They are never in the tree: `tests/seeded/__main__.py` puts one at a time into a copy of it and runs
the suites that must notice. A change that no longer fits the source is an error, not a pass.
"""

from dataclasses import dataclass

POWER = ("-m", "reliability", "tests/model/test_powercut.py", "-k", "not larger")
CRASHES = "tests/model/test_crashpoints.py"
LIVES = "tests/model/test_model.py"


@dataclass(frozen=True, slots=True)
class Change:
    """In *file* below the package, *old* (which must be there once) becomes *new*."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Bug:
    """What it forgets, how, and which suite must notice."""

    name: str
    changes: tuple[Change, ...]
    suite: tuple[str, ...]


BUGS = (
    Bug(
        "the fdatasync of the spool file is skipped",
        (Change("spool/spoolfile.py", "os.fdatasync(fd)", "pass"),),
        POWER,
    ),
    Bug(
        "acknowledgements are committed with synchronous=NORMAL",
        (Change("spool/journal.py", '"FULL" if batch.durable else "NORMAL"', '"NORMAL"'),),
        POWER,
    ),
    Bug(
        "the journal says so before the bytes are synced",
        (
            Change(
                "fs/openfile.py",
                "                if durable:\n"
                "                    await content.spool.make_durable()\n"
                "                content.spool.label("
                "seal, replaces=self._replaced, durable=durable)\n"
                "            await self._record(seal, is_labelled=True, durable=durable)\n",
                "                content.spool.label("
                "seal, replaces=self._replaced, durable=durable)\n"
                "            await self._record(seal, is_labelled=True, durable=durable)\n"
                "            if durable and content.spool is not None and seal.has_spool:\n"
                "                await content.spool.make_durable()\n",
            ),
        ),
        POWER,
    ),
    Bug(
        "If-Match is forgotten",
        (
            Change(
                "store/requests.py",
                'if expect == "absent" else {"if-match": expect}',
                'if expect == "absent" else {}',
            ),
        ),
        ("tests/contract/test_store_contract.py", "-k", "wire-seaweedfs"),
    ),
    Bug(
        "the last part is dropped",
        (
            Change(
                "transfer/delivery.py",
                "multipart.receipts(plan)",
                "multipart.receipts(plan[:-1] or plan)",
            ),
        ),
        (CRASHES,),
    ),
    Bug(
        "a file is published before it was closed",
        (
            Change(
                "fs/openfile.py",
                "                self.drop_stream()\n            self.mark_dirty()\n",
                "                self.drop_stream()\n            self.mark_dirty()\n"
                "            await self._seal(durable=False)\n",
            ),
        ),
        (CRASHES,),
    ),
    Bug(
        "the spool file goes before S3 has acknowledged it",
        (
            Change(
                "transfer/delivery.py",
                '        upload.enter("committing", upload.error)\n',
                '        upload.enter("committing", upload.error)\n'
                "        if upload.spool is not None and upload.spool.name:\n"
                "            upload.spool._directory.unlink(upload.spool.name)\n",
            ),
        ),
        (CRASHES,),
    ),
    Bug(
        "no answer is taken for no object",
        (
            Change(
                "tree/questions.py",
                "            except NotFound:\n                return\n",
                "            except Exception:\n                return\n",
            ),
        ),
        ("tests/fs",),
    ),
    Bug(
        "a Complete without an answer is sent again",
        (
            Change(
                "store/s3.py",
                "        return await self._lanes.once(\n"
                "            self._lanes.transfers,\n"
                "            partial(self._blocking.complete_upload,",
                "        return await self._lanes.repeatedly(\n"
                "            self._lanes.transfers,\n"
                "            partial(self._blocking.complete_upload,",
            ),
        ),
        ("tests/unit/test_wire.py", "-k", "commit"),
    ),
    Bug(
        "old names below a directory are deleted before all new ones are there",
        (
            Change(
                "transfer/renames.py",
                "            self.done[move.source.key] = source, found\n",
                "            self.done[move.source.key] = source, found\n"
                "            await self.store.delete(source.key)\n",
            ),
        ),
        (CRASHES,),
    ),
    Bug(
        "parts whose bytes were rewritten are resumed",
        (
            Change(
                "transfer/multipart.py",
                "            del self._sent[number]\n",
                "            pass\n",
            ),
        ),
        (LIVES,),
    ),
    Bug(
        "the queue is dropped at unmount",
        (
            Change(
                "session.py",
                "        await filesystem.rig.uploader.wait_drained()\n",
                "        return 0\n",
            ),
            Change("session.py", "is_empty = journal.is_empty()", "is_empty = True"),
        ),
        ("tests/mount/test_leaving.py",),
    ),
)
