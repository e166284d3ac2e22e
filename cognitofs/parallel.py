"""run_all: do several things at once, at most so many, and fail with the first failure.

The one place that opens a nursery for a bounded job; an ExceptionGroup never
leaves it (a FUSEError inside a group would end the mount, see `docs/DESIGN.md`).
"""

from collections.abc import Awaitable, Callable, Iterable

import trio


async def run_all(jobs: Iterable[Callable[[], Awaitable[object]]], *, limit: int) -> None:
    """Run *jobs*, at most *limit* at a time. Raises what the first failing job raised."""
    limiter = trio.CapacityLimiter(limit)
    failure: Exception | None = None

    async def run(job: Callable[[], Awaitable[object]]) -> None:
        nonlocal failure
        try:
            await job()
        except Exception as exc:  # noqa: BLE001  # handed on below, as itself
            failure = failure or exc
            nursery.cancel_scope.cancel()
        finally:
            limiter.release_on_behalf_of(job)

    async with trio.open_nursery() as nursery:
        for job in jobs:
            await limiter.acquire_on_behalf_of(job)
            nursery.start_soon(run, job)
    if failure is not None:
        raise failure
