"""A process that closes files while S3 is away, and says of each what close() acknowledged.

    python -m tests.fs.busy_writer STATE LEVEL SEED

Lines: `found NAME SHA256` for what an earlier life left, then `begin NAME SHA256` before and
`done NAME SHA256` once close() has returned 0.
"""

import hashlib
import random
import sys
from pathlib import Path

import trio

from cognitofs.errors import Unreachable
from cognitofs.testing import FaultyStore, MemoryStore
from cognitofs.transfer.parts import Ladder
from tests.fs.fsrig import mounted

LADDER = Ladder(first=16384, minimum=16)
NAMES = 12
LARGEST = 60_000


async def main(state, level, seed):
    dice = random.Random(seed)
    store = FaultyStore(MemoryStore(part_minimum=16))
    for operation in ("put", "begin_upload"):
        store.fail(operation, Unreachable("There is no network."), times=-1)
    async with mounted(store, state, sync=level, ladder=LADDER) as m:
        contents = {name: await m.read_file(name) for name in await m.listdir()}
        for name, data in contents.items():
            print("found", name, hashlib.sha256(data).hexdigest(), flush=True)
        while True:
            name = f"f{dice.randrange(NAMES)}"
            is_new, old = name not in contents, contents.get(name, b"")
            start = dice.choice([0, len(old), dice.randrange(len(old) + 1)])
            data = dice.randbytes(dice.randrange(1, LARGEST))
            contents[name] = new = old[:start] + data + old[start + len(data) :]
            handle = (await m.fs.create(1, name, 0o644, 2))[0] if is_new else await m.open(name)
            digest = hashlib.sha256(new).hexdigest()
            print("begin", name, digest, flush=True)
            await m.fs.write(handle, start, data)
            await m.close(handle)
            print("done", name, digest, flush=True)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
