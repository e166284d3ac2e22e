"""The steps that a generated run is made of: small numbers, read against what exists just then."""

import trio
from hypothesis import strategies as st

from cognitofs.errors import (
    AccessDenied,
    AuthUnavailable,
    ConditionalConflict,
    LoginRequired,
    PreconditionFailed,
    ServerTrouble,
    Unreachable,
)
from tests.model.host import Failed, Host
from tests.model.world import DIRECTORY, FILE, LINK

PATHS = ("a", "b", "c", "d/x", "d/y", "e/x")
DIRECTORIES = ("d", "e")
SIZES = (0, 1, 3, 15, 16, 17, 31, 33, 48, 65, 100)
"""Around the parts of 16 bytes."""
OPERATIONS = (
    "put",
    "begin_upload",
    "upload_part",
    "copy_part",
    "complete_upload",
    "read_into",
    "head",
    "list_page",
    "copy",
    "delete",
    "delete_many",
    "abort_upload",
)
COMMITS = ("put", "complete_upload", "copy", "delete", "delete_many")
LEVELS = ("close", "fsync", "local")
HANDLES = 4

_WEIGHTS = {
    "create": 5,
    "open": 3,
    "open_truncating": 2,
    "write": 10,
    "append": 3,
    "truncate": 3,
    "read": 3,
    "flush": 4,
    "fsync": 2,
    "close": 5,
    "read_path": 2,
    "truncate_path": 1,
    "chmod": 2,
    "unlink": 3,
    "rename": 5,
    "rename_directory": 3,
    "mkdir": 2,
    "rmdir": 1,
    "symlink": 1,
    "list": 1,
    "stat": 1,
    "fail": 4,
    "offline": 2,
    "expire": 2,
    "foreign": 3,
    "lose": 4,
    "stall": 2,
    "mend": 1,
    "wait": 3,
    "crash": 2,
    "crash_in_close": 1,
}
_NAMES = tuple(name for name, weight in _WEIGHTS.items() for _ in range(weight))
_small = st.integers(0, 11)

steps = st.lists(
    st.tuples(st.sampled_from(_NAMES), _small, _small, _small), min_size=10, max_size=40
)


def random_script(chance, length):
    """Return steps drawn from *chance*, a `random.Random`."""
    return [
        (chance.choice(_NAMES), *(chance.randrange(12) for _ in range(3))) for _ in range(length)
    ]


def pick(choices, index):
    choices = tuple(choices)
    return choices[index % len(choices)] if choices else None


class Steps:
    """Does steps to a host; one that makes no sense just then is left out."""

    def __init__(self, host: Host, nursery) -> None:
        self.host = host
        self._nursery = nursery

    async def do(self, step):
        name, i, j, k = step
        try:
            await getattr(self, name)(i, j, k)
        except Failed:
            await self.host.settle_names()

    def _files(self, *kinds):
        kinds = kinds or (FILE,)
        return [p for p, node in self.host.world.tree.items() if node.kind in kinds]

    # -- open files -------------------------------------------------------------------------------

    async def create(self, i, j, k):
        path = pick([p for p in PATHS if self.host.world.can_be_made(p)], i)
        if path is not None and len(self.host.handles) < HANDLES:
            with self.host.naming(60):
                handle = await self.host.create(path)
            if k % 3:
                await self.host.write(handle, 0, self.host.fresh(pick(SIZES, j)))

    async def open(self, i, j, k, flags=2):
        path = pick(self._files(), i)
        if path is not None and len(self.host.handles) < HANDLES:
            with self.host.tolerant(300):
                await self.host.open(path, flags)

    async def open_truncating(self, i, j, k):
        await self.open(i, j, k, 0o1002)

    async def write(self, i, j, k):
        handle = pick(self.host.handles, i)
        if handle is not None:
            with self.host.tolerant(300):
                await self.host.write(handle, pick(SIZES, j), self.host.fresh(pick(SIZES, k)))

    async def append(self, i, j, k):
        handle = pick(self.host.handles, i)
        if handle is not None:
            with self.host.tolerant(300):
                data = self.host.fresh(pick(SIZES, j))
                await self.host.write(handle, len(handle.node.data), data)

    async def truncate(self, i, j, k):
        handle = pick(self.host.handles, i)
        if handle is not None:
            with self.host.naming(5000):
                await self.host.truncate(handle, pick(SIZES, j))

    async def read(self, i, j, k):
        handle = pick(self.host.handles, i)
        if handle is not None:
            with self.host.tolerant(300):
                await self.host.read(handle, pick(SIZES, j), pick(SIZES, k))

    async def flush(self, i, j, k):
        handle = pick(self.host.handles, i)
        if handle is not None:
            await self.host.flush(handle)

    async def fsync(self, i, j, k):
        handle = pick(self.host.handles, i)
        if handle is not None:
            await self.host.fsync(handle)

    async def close(self, i, j, k):
        handle = pick(self.host.handles, i)
        if handle is not None:
            await self.host.close(handle)

    # -- names ------------------------------------------------------------------------------------

    async def read_path(self, i, j, k):
        path = pick(self._files(), i)
        if path is not None:
            with self.host.tolerant(300):
                await self.host.read_path(path)

    async def truncate_path(self, i, j, k):
        path = pick(self._files(), i)
        if path is not None:
            with self.host.naming(5000):
                await self.host.truncate_path(path, pick(SIZES, j))

    async def chmod(self, i, j, k):
        path = pick(self._files(), i)
        if path is not None:
            with self.host.naming(5000):
                await self.host.chmod(path, pick((0o600, 0o644, 0o755, 0o400), j))

    async def unlink(self, i, j, k):
        path = pick(self._files(FILE, LINK), i)
        if path is not None:
            with self.host.naming(5000):
                await self.host.unlink(path)

    async def rename(self, i, j, k):
        old = pick(self._files(FILE, LINK), i)
        free = [p for p in PATHS if self.host.world.can_be_made(p) or p in self._files(FILE, LINK)]
        new = pick([p for p in free if p != old], j)
        if old is not None and new is not None:
            with self.host.naming(5000):
                await self.host.rename(old, new)

    async def rename_directory(self, i, j, k):
        world = self.host.world
        full = [p for p in self._files(DIRECTORY) if world.children(p)]
        old = pick(full or self._files(DIRECTORY), i)
        empty = [p for p in self._files(DIRECTORY) if not world.children(p)]
        free = [p for p in (*DIRECTORIES, "d/e") if world.can_be_made(p) or p in empty]
        new = pick([p for p in free if p != old and not p.startswith(f"{old}/")], j)
        if old is not None and new is not None:
            with self.host.naming(5000):
                await self.host.rename(old, new)

    async def mkdir(self, i, j, k):
        path = pick([p for p in DIRECTORIES if self.host.world.can_be_made(p)], i)
        if path is not None:
            with self.host.naming(5000):
                await self.host.mkdir(path)

    async def rmdir(self, i, j, k):
        path = pick([p for p in self._files(DIRECTORY) if not self.host.world.children(p)], i)
        if path is not None:
            with self.host.naming(5000):
                await self.host.rmdir(path)

    async def symlink(self, i, j, k):
        path = pick([p for p in PATHS if self.host.world.can_be_made(p)], i)
        if path is not None:
            with self.host.naming(5000):
                await self.host.symlink(path, f"to/{j}")

    async def list(self, i, j, k):
        with self.host.tolerant(60):
            await self.host.list_path(pick(["", *self._files(DIRECTORY)], i))

    async def stat(self, i, j, k):
        path = pick(self.host.world.tree, i)
        if path is not None:
            with self.host.tolerant(60):
                await self.host.stat_path(path)

    async def crash_in_close(self, i, j, k):
        """Do what a close does up to some moment, at which the process ends."""
        handle = pick(self.host.handles, i)
        if handle is not None:
            with self.host.tolerant(300):
                await self.host.write(handle, 0, self.host.fresh(100))
            await self.host.begin_to_close(handle, moments=4 * j + k)

    # -- weather ----------------------------------------------------------------------------------

    async def fail(self, i, j, k):
        """Lose requests on their way, once or a few times."""
        errors = (Unreachable("offline"), ServerTrouble("500"), AccessDenied("403"))
        operation = pick(OPERATIONS, i)
        is_retried = operation == "abort_upload"
        error = pick(errors[:2] if is_retried else errors, j)
        self.host.fail(operation, error, "before", 1 + k % 3)

    async def offline(self, i, j, k):
        """No request arrives any more."""
        for operation in OPERATIONS:
            self.host.fail(operation, Unreachable("offline"), "before", -1)

    async def expire(self, i, j, k):
        """Let the keys end: for one request, or until somebody signs in again."""
        self.host.counts["ended keys"] += 1
        if k % 3 == 0:
            self.host.fail(pick(OPERATIONS, i), AuthUnavailable("expired"), "before", 1 + j % 3)
            return
        for operation in OPERATIONS:
            self.host.fail(operation, LoginRequired("expired"), "before", -1)

    async def foreign(self, i, j, k):
        """Let another client write or remove what nothing here is about."""
        names = [p for p in PATHS if self.host.world.can_be_made(p) or p in self._files()]
        path = pick([p for p in names if not self.host.is_open(p)], i)
        if path is not None:
            await self.host.foreign(path, pick(SIZES, j) if k % 3 else None)

    async def lose(self, i, j, k):
        """Answers that are lost, or wrong because the request was sent twice."""
        errors = (Unreachable("lost"), PreconditionFailed("412"), ConditionalConflict("409"))
        operation = pick(COMMITS if k % 4 else OPERATIONS, i)
        error = pick(errors, j) if operation in ("put", "complete_upload") else errors[0]
        self.host.counts["lost answers"] += 1
        self.host.fail(operation, error, "after", 1 + k % 2)

    async def stall(self, i, j, k):
        """Hold requests for a while."""
        self.host.is_bad = True
        gate = self.host.store.stall(pick(OPERATIONS, i), moment=pick(("before", "after"), j))
        self._nursery.start_soon(self._release, gate, 10.0 + 15 * k)

    async def _release(self, gate, seconds):
        await trio.sleep(seconds)
        self.host.counts["stalls met"] += gate.reached.is_set()
        gate.release()

    async def mend(self, i, j, k):
        await self.host.mend()

    async def wait(self, i, j, k):
        await trio.sleep(pick((0, 0.2, 1, 5, 30, 100), i))
