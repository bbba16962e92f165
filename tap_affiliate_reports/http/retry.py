"""Repeats a request that failed for a reason that may pass: the decision, the delay, the loop."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import ApiError, RateLimited, Unavailable
from tap_affiliate_reports.http.backoff import ATTEMPTS, backoff

RETRYING = "%s; retrying in %.1f s"

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Retryable(ApiError):
    """Raised by an attempt whose failure may pass.

    `pause` is the pause that the service requested, in seconds; None if it requested none.
    """

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass(frozen=True)
class Retries:
    """Repeats an attempt that raises RateLimited or Retryable.

    The pauses of one call may last `max_wait_seconds` together. Only a backoff after Retryable, for
    which the service requested no pause, may exceed that.
    """

    clock: Clock
    max_wait_seconds: float
    random_unit: Callable[[], float] = random.random

    def run(
        self,
        attempt: Callable[[], T],
        *,
        attempts: int = ATTEMPTS,
        may_repeat: Callable[[], bool] = lambda: True,
    ) -> T:
        """Return what an attempt returns; raise RateLimited or Unavailable after the last one.

        `may_repeat` is called after a Retryable, as the failed request may have taken effect; no
        further attempt follows if it returns False.
        """
        waited, number = 0.0, 1
        while True:
            try:
                return attempt()
            except (RateLimited, Retryable) as error:
                pause = delay(error, number - 1, self.random_unit())
                is_too_long = waited + pause > self.max_wait_seconds
                is_last = number == attempts
                if not is_repeatable(error, may_repeat, is_last=is_last, is_too_long=is_too_long):
                    raise final_error(error, number, pause, is_too_long=is_too_long) from None
                logger.info(RETRYING, error, pause)
            waited += pause
            number += 1
            self.clock.sleep(pause)


def is_repeatable(
    error: RateLimited | Retryable,
    may_repeat: Callable[[], bool],
    *,
    is_last: bool,
    is_too_long: bool,
) -> bool:
    """Return whether another attempt follows; `is_too_long` is about the pause before it."""
    if is_last:
        return False
    if isinstance(error, RateLimited):
        return not is_too_long
    # Only a pause that the service requests can be too long.
    return not (error.pause and is_too_long) and may_repeat()


def delay(error: RateLimited | Retryable, failures: int, random_unit: float) -> float:
    """Return the pause before the next attempt, in seconds; `failures` counts the earlier ones.

    A pause that the service requests replaces the backoff after RateLimited, and only lengthens
    it after any other failure.
    """
    computed = backoff(failures, random_unit)
    if isinstance(error, RateLimited):
        return error.retry_after or computed
    return max(computed, error.pause or 0.0)


def final_error(
    error: RateLimited | Retryable, attempts: int, pause: float, *, is_too_long: bool
) -> ApiError:
    """Return the error that ends a call after this many attempts."""
    if isinstance(error, RateLimited):
        return error
    if error.pause and is_too_long:
        msg = f"{error}: the service requests a pause of {pause:.0f} s (max_wait_seconds)"
        return Unavailable(msg)
    return Unavailable(f"{error} (tried {attempts} times)")
