"""What tests of the commands share: a command in this process, with the harness's clock."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

from harness import listening

from tap_affiliate_reports.command_line import COMMANDS
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness import FakeClock


def command(
    name: str,
    config: Mapping[str, Any],
    clock: FakeClock,
    *,
    value: str = "",
    state: Mapping[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a command's document, as JSON gives it back; an error of the tap is raised."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    tap: TapAffiliateReports | None = None
    with listening():
        try:
            tap = TapAffiliateReports(
                config=json.loads(json.dumps(config)),
                state=json.loads(json.dumps(state or {})),
                catalog=catalog,
                clock=clock,
                setup_mapper=name != "check",
            )
            return json.loads(json.dumps(COMMANDS[name](tap, value)))
        finally:
            if tap is not None:
                tap.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
