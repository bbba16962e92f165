"""A tap that is not synced, for the tests of commands."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness import FakeClock


@contextmanager
def opened(
    config: Mapping[str, Any], clock: FakeClock, **options: Any
) -> Iterator[TapAffiliateReports]:
    """Open a tap until the block ends; its signal handlers do not stay."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    tap: TapAffiliateReports | None = None
    try:
        tap = TapAffiliateReports(config=json.loads(json.dumps(config)), clock=clock, **options)
        yield tap
    finally:
        if tap is not None:
            tap.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
