"""Effort: how much of a heavy suite is to be done, and the figures it has to show for it.

A suite takes the fixture `effort` (tests/conftest.py), draws its rounds from `Effort.rounds`,
counts what it meets in `Effort.counts` and names with `Effort.demand` what it must have met: a
suite that hit nothing has proved nothing. The figures of all suites stand at the end of pytest's
output, with the seed that repeats them, also under -q and also after a failure.

Three options of pytest say how much: `--seed S` what is random, `--rounds N` how often, `--minutes
N` until when, for all suites of the run together. Without them each suite does what a submission
asks.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

SEEDS = 1_000_000
"""Rounds of one seed; no two seeds share one."""


@dataclass
class Plan:
    """What the command line asks for; shared by all suites of a run."""

    seed: int = 0
    rounds: int = 0
    minutes: float = 0.0
    suites_left: int = 0
    ends: float = 0.0

    def share(self) -> float:
        """Return when the suite that begins now shall end: what is left is shared out evenly."""
        now = time.monotonic()
        self.ends = self.ends or now + self.minutes * 60
        self.suites_left = max(1, self.suites_left)
        end = now + max(0.0, self.ends - now) / self.suites_left
        self.suites_left -= 1
        return end


class Effort:
    """The rounds of one test, and its counts."""

    def __init__(self, plan: Plan) -> None:
        self.counts: Counter[str] = Counter()
        self.seed = plan.seed
        self.is_long = bool(plan.minutes or plan.rounds)
        """Whether more is asked than of each submission: sweeps leave nothing out then."""
        self._rounds = plan.rounds
        self._ends = plan.share() if plan.minutes else None

    def rounds(self, ordinary: int) -> Iterator[int]:
        """Yield the seed of each round: as many as were asked for, *ordinary* if nothing was.

        The first one always runs, so that no suite passes without a round.
        """
        first = self.seed * SEEDS
        for seed in range(first, first + SEEDS):
            done = seed - first
            if done and self._is_enough(done, ordinary):
                return
            self.counts["rounds"] += 1
            yield seed

    def _is_enough(self, done: int, ordinary: int) -> bool:
        if self._rounds and done >= self._rounds:
            return True
        if self._ends is not None:
            return time.monotonic() >= self._ends
        return not self._rounds and done >= ordinary

    def is_over(self) -> bool:
        """Tell a sweep, which counts no rounds, that its time is up."""
        return self._ends is not None and time.monotonic() >= self._ends

    def demand(self, least: int, *whats: str) -> None:
        """Fail unless each of *whats* was met *least* times in this test."""
        for what in whats:
            met = self.counts[what]
            assert met >= least, f"the suite proves nothing: {what} met {met} times, not {least}"

    def demand_share(self, percent: float, what: str, of: str) -> None:
        """Fail unless *what* happened in at least *percent* of the cases counted as *of*."""
        part, whole = self.counts[what], self.counts[of]
        assert whole, f"the suite proves nothing: no {of}"
        assert part * 100 >= percent * whole, f"only {part} of {whole} {of} met: {what}"


def line_of(suite: str, counts: Counter[str]) -> str:
    """Return the figures of a suite."""
    said = ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()))
    return f"{suite}: {said or 'nothing was met'}"
