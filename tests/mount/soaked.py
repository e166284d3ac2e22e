"""A soak: mixed work on a mount in bad weather, and what the process behind it takes meanwhile.

`Workers` do what people and programs do, each below a directory of its own, and know what must be
there; `Weather` spoils requests at a `FaultGate` now and then; `Samples` looks at the process every
few seconds and tells how its sizes go on.
"""

import random
import shutil
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from tests.mount.faults import BEFORE, FaultGate
from tests.mount.ledger import sum_of
from tests.mount.mounted import MIB, Mount, noise

_OPERATIONS = ("PutObject", "UploadPart", "Complete", "CopyObject", "DeleteObject", "GetObject")
_FAULTS = tuple(fault for fault in (*BEFORE, "lost answer") if fault != "RequestTimeTooSkewed")
_SIZES = (0, 1, 4_000, 60_000, 300_000, 2 * MIB)
_LARGE = 12 * MIB
_MOST_FILES = 40


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process takes at one moment; sizes in bytes."""

    seconds: float
    rss: int
    fds: int
    threads: int
    journal: int
    spool: int
    cache: int


class Samples:
    """Looks at the daemon of *mount* every few seconds until it is stopped."""

    def __init__(self, mount: Mount, seconds: float = 2.0) -> None:
        self._mount, self._period = mount, seconds
        self._begun = time.monotonic()
        self.taken: list[Sample] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._is_over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._is_over.wait(self._period):
            with suppress(FileNotFoundError, ProcessLookupError):
                self.taken.append(self.now())

    def now(self) -> Sample:
        """Return what the process takes now."""
        process = Path(f"/proc/{self._mount.pid}")
        lines = (process / "status").read_text().splitlines()
        said = dict(line.split(":", 1) for line in lines)
        descriptors = list((process / "fd").iterdir())
        cached = [each for each in descriptors if _is_cached(each)]
        return Sample(
            seconds=time.monotonic() - self._begun,
            rss=int(said["VmRSS"].split()[0]) * 1024,
            fds=len(descriptors) - len(cached),
            threads=int(said["Threads"]),
            journal=_on_disk(self._mount.machine.state.glob("mounts/*/journal.db*")),
            spool=_on_disk(self._mount.machine.state.glob("mounts/*/spool/*")),
            cache=_on_disk(self._mount.machine.home.glob(".cache/cognitofs/*/blocks/*")),
        )

    def after(self, seconds: float) -> list[Sample]:
        """Return the samples since the warm-up."""
        return [each for each in self.taken if each.seconds >= seconds]

    def slope(self, what: str, warm_up: float) -> float:
        """Return by how much a size grows in an hour, fitted to all samples since the warm-up."""
        found = self.after(warm_up)
        values = [getattr(each, what) for each in found]
        fit = statistics.linear_regression([each.seconds for each in found], values)
        return fit.slope * 3600

    def growth(self, what: str, warm_up: float) -> float:
        """Return the median of the last third less that of the first one, since the warm-up."""
        values = [getattr(each, what) for each in self.after(warm_up)]
        third = max(1, len(values) // 3)
        return statistics.median(values[-third:]) - statistics.median(values[:third])

    def peaks(self) -> dict[str, int]:
        """Return the largest of each size."""
        names = (field.name for field in fields(Sample) if field.name != "seconds")
        return {name: max(getattr(each, name) for each in self.taken) for name in names}


def _on_disk(paths) -> int:
    total = 0
    for path in paths:
        with suppress(OSError):
            total += path.stat().st_blocks * 512
    return total


def _is_cached(descriptor: Path) -> bool:
    """Tell a file of the cache: so many are open, used or not, and no more."""
    with suppress(OSError):
        return "/blocks/" in str(descriptor.readlink())
    return False


class Weather(threading.Thread):
    """Spoils a request, or shuts the gate for a moment, every few seconds until it is over."""

    def __init__(self, gate: FaultGate, seed: int, counts: Counter[str]) -> None:
        super().__init__(daemon=True)
        self._gate, self._counts = gate, counts
        self._random = random.Random(f"weather {seed}")
        self._is_over = threading.Event()

    def run(self) -> None:
        while not self._is_over.wait(self._random.uniform(0.5, 3.0)):
            if self._random.random() < 0.1:
                self._gate.shut()
                self._is_over.wait(self._random.uniform(0.1, 1.0))
                self._gate.open()
                self._counts["times without a network"] += 1
            else:
                self._counts["requests spoilt"] += len(self._gate.disarm())
                operation = self._random.choice(_OPERATIONS)
                self._gate.arm(operation, self._random.choice(_FAULTS), times=2)

    def clear(self) -> None:
        """End it: everything passes."""
        self._is_over.set()
        self.join()
        self._counts["requests spoilt"] += len(self._gate.disarm())
        self._gate.open()


class Worker:
    """One program at work below *top* of the mount; `expected` is what must be there.

    A call that fails leaves its files in doubt: they are forgotten, and counted.
    """

    def __init__(self, mount: Path, top: str, seed: int, counts: Counter[str]) -> None:
        self._mount, self._top, self._counts = mount, top, counts
        self._random = random.Random(f"{top} {seed}")
        self._number = 0
        self.expected: dict[str, str] = {}
        self.doubtful: set[str] = set()
        self._data: dict[str, bytes] = {}
        self._works: list[tuple[int, Callable[[], None]]] = [
            (8, self._create),
            (5, self._append),
            (6, self._read),
            (4, self._rename),
            (4, self._delete),
            (1, self._tree),
            (1, self._rename_directory),
            (1, self._large),
        ]

    def work(self, is_over: threading.Event) -> None:
        """Work until it is over, or the mount is gone."""
        (self._mount / self._top).mkdir(parents=True)
        weights = [weight for weight, _ in self._works]
        while not is_over.is_set():
            (_, work), *_ = self._random.choices(self._works, weights)
            self._counts[work.__name__.strip("_").replace("_", " ")] += 1
            work()

    def clean(self) -> None:
        """Remove everything again."""
        shutil.rmtree(self._mount / self._top)

    def _path(self, name: str) -> Path:
        return self._mount / self._top / name

    def _new(self, kind: str) -> str:
        self._number += 1
        return f"{kind}{self._number}"

    def _any(self) -> str | None:
        return self._random.choice(sorted(self._data)) if self._data else None

    def _try(self, names: set[str], call: Callable[[], None]) -> bool:
        """Make a call; if it fails, *names* are in doubt."""
        try:
            call()
        except OSError as exc:
            self._counts[f"calls that failed ({exc.strerror})"] += 1
            for name in names:
                self._forget(name)
                self.doubtful.add(f"{self._top}/{name}")
            return False
        return True

    def _remember(self, name: str, data: bytes) -> None:
        self._data[name] = data
        self.expected[f"{self._top}/{name}"] = sum_of(data)
        self.doubtful.discard(f"{self._top}/{name}")

    def _forget(self, name: str) -> None:
        self._data.pop(name, None)
        self.expected.pop(f"{self._top}/{name}", None)

    def _write(self, name: str, data: bytes) -> None:
        if self._try({name}, lambda: self._path(name).write_bytes(data) and None):
            self._remember(name, data)

    def _create(self) -> None:
        if len(self._data) >= _MOST_FILES:
            self._delete()
        self._write(self._new("f"), noise(self._random.choice(_SIZES), self._number))

    def _large(self) -> None:
        self._write("large", noise(_LARGE, self._number))

    def _append(self) -> None:
        if (name := self._any()) is None:
            return
        more = noise(500, self._number)

        def append() -> None:
            with self._path(name).open("ab") as file:
                file.write(more)

        before = self._data[name]
        if self._try({name}, append):
            self._remember(name, before + more)

    def _read(self) -> None:
        if (name := self._any()) is None:
            return
        with suppress(OSError):
            found = self._path(name).read_bytes()
            assert found == self._data[name], f"{self._top}/{name} reads wrong"

    def _rename(self) -> None:
        if (name := self._any()) is None:
            return
        new, data = self._new("r"), self._data[name]
        if self._try({name, new}, lambda: self._path(name).rename(self._path(new)) and None):
            self._forget(name)
            self._remember(new, data)

    def _delete(self) -> None:
        if (name := self._any()) is None:
            return
        if self._try({name}, self._path(name).unlink):
            self._forget(name)

    def _tree(self) -> None:
        """Write as git does: many small files in a fan of directories, and take one away again."""
        top = self._new("tree")
        for number in range(12):
            name = f"{top}/{number % 4:02x}/{number}"
            if not self._try(
                set(), lambda n=name: self._path(n).parent.mkdir(parents=True, exist_ok=True)
            ):
                return
            self._write(name, noise(200, number))
        trees = sorted({name.partition("/")[0] for name in self._data if "/" in name})
        if len(trees) > 2:
            self._remove_tree(trees[0])

    def _remove_tree(self, top: str) -> None:
        below = {name for name in self._data if name.startswith(f"{top}/")}
        if self._try(below, lambda: shutil.rmtree(self._path(top))):
            for name in below:
                self._forget(name)

    def _rename_directory(self) -> None:
        trees = sorted({name.partition("/")[0] for name in self._data if "/" in name})
        if not trees:
            return
        old, new = self._random.choice(trees), self._new("moved")
        moved = {n: f"{new}{n[len(old) :]}" for n in self._data if n.startswith(f"{old}/")}
        doubtful = {*moved, *moved.values()}
        if self._try(doubtful, lambda: self._path(old).rename(self._path(new)) and None):
            for name, target in moved.items():
                data = self._data[name]
                self._forget(name)
                self._remember(target, data)
