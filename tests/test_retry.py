"""The retry of requests: which failures are repeated, after which pause, and the final error."""

from __future__ import annotations

import pytest
from harness import FakeClock

from tap_affiliate_reports.errors import ApiError, NotFound, RateLimited, Unavailable
from tap_affiliate_reports.http.retry import Retries, Retryable, delay


class Attempts:
    """An attempt that raises these errors one after another, and then returns its number."""

    def __init__(self, *errors: ApiError) -> None:
        self.errors = list(errors)
        self.number = 0

    def __call__(self) -> int:
        self.number += 1
        if self.number <= len(self.errors):
            raise self.errors[self.number - 1]
        return self.number


@pytest.fixture
def retries(clock: FakeClock) -> Retries:
    """Retries with the longest jitter and at most 100 seconds of pauses."""
    return Retries(clock, max_wait_seconds=100, random_unit=lambda: 1.0)


def limited(pause: float | None = None) -> RateLimited:
    return RateLimited("429", pause)


def failed(pause: float | None = None) -> Retryable:
    return Retryable("503", pause)


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (failed(), 4),
        (failed(1), 4),
        (failed(9), 9),
        (limited(), 4),
        (limited(1), 1),
        (limited(9), 9),
    ],
    ids=str,
)
def test_the_requested_pause_wins_over_the_backoff(error: ApiError, pause: float) -> None:
    """After a failure other than 429 it only lengthens the backoff."""
    assert isinstance(error, RateLimited | Retryable)
    assert delay(error, 2, 1.0) == pause


def test_pauses_grow_until_an_attempt_succeeds(retries: Retries, clock: FakeClock) -> None:
    assert retries.run(Attempts(failed(), limited(20), failed(3))) == 4
    assert clock.slept == [1, 20, 4]


@pytest.mark.parametrize("error", [failed(), limited(2)])
def test_the_last_error_is_raised_after_the_last_attempt(
    retries: Retries, clock: FakeClock, error: ApiError
) -> None:
    attempts = Attempts(*[error] * 9)
    with pytest.raises(ApiError, match=r"429|503") as raised:
        retries.run(attempts, attempts=3)
    assert attempts.number == 3
    assert len(clock.slept) == 2
    if isinstance(error, RateLimited):
        assert raised.value is error
    else:
        assert isinstance(raised.value, Unavailable)
        assert "tried 3 times" in str(raised.value)


@pytest.mark.parametrize(
    ("error", "final"), [(failed(60), Unavailable), (limited(60), RateLimited)]
)
def test_requested_pauses_beyond_the_limit_are_not_waited_for(
    retries: Retries, clock: FakeClock, error: ApiError, final: type[ApiError]
) -> None:
    with pytest.raises(final):
        retries.run(Attempts(error, error))
    assert clock.slept == [60]


def test_a_backoff_may_exceed_the_limit_of_requested_pauses(
    retries: Retries, clock: FakeClock
) -> None:
    assert retries.run(Attempts(failed(90), failed(), failed(), failed(), failed())) == 6
    assert sum(clock.slept) == 90 + 2 + 4 + 8 + 16


def test_may_repeat_is_called_only_after_a_failure_that_may_have_taken_effect(
    retries: Retries, clock: FakeClock
) -> None:
    calls: list[None] = []

    def may_repeat() -> bool:
        calls.append(None)
        return len(calls) < 2

    with pytest.raises(Unavailable, match="tried 3 times"):
        retries.run(Attempts(limited(1), failed(), failed(), failed()), may_repeat=may_repeat)
    assert len(calls) == 2
    assert len(clock.slept) == 2
    with pytest.raises(Unavailable):
        retries.run(Attempts(failed()), attempts=1, may_repeat=may_repeat)
    assert len(calls) == 2


def test_any_other_error_is_raised_at_once(retries: Retries, clock: FakeClock) -> None:
    with pytest.raises(NotFound):
        retries.run(Attempts(NotFound("404")))
    assert not clock.slept
