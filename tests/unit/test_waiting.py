"""Handlers that look and read wait for a person to sign in again."""

import pytest
import trio

from cognitofs.errors import LoginRequired, NotFound, Unreachable
from cognitofs.fuse.waiting import once_signed_in

EXPIRED = LoginRequired("Your sign-in has ended; run cognitofs login.")


class Question:
    """Fails with *failures* one after the other, then answers."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return "answer"


async def test_it_is_asked_again_until_somebody_has_signed_in(autojump_clock):
    question = Question(EXPIRED, ExceptionGroup("nursery", [EXPIRED]), EXPIRED)
    assert await once_signed_in(question, patience=60, within=5) == "answer"
    assert question.asked == 4


async def test_patience_ends_with_what_is_missing(autojump_clock):
    began = trio.current_time()
    with pytest.raises(LoginRequired):
        await once_signed_in(Question(*[EXPIRED] * 100), patience=10, within=5)
    assert 10 <= trio.current_time() - began <= 12


async def test_without_patience_it_is_asked_once(autojump_clock):
    question = Question(EXPIRED)
    with pytest.raises(LoginRequired):
        await once_signed_in(question, patience=0, within=5)
    assert question.asked == 1


async def test_any_other_failure_is_told_at_once(autojump_clock):
    question = Question(NotFound("It is gone."))
    with pytest.raises(NotFound):
        await once_signed_in(question, patience=60, within=5)
    assert question.asked == 1


async def test_each_try_ends(autojump_clock):
    with pytest.raises(Unreachable):
        await once_signed_in(trio.sleep_forever, patience=60, within=5)
