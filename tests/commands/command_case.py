"""What tests of the commands share: a command in this process, with the harness's clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from harness import listening
from opened_tap import opened

from tap_affiliate_reports.command_line import COMMANDS, NO_DISCOVERY

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
    **options: Any,
) -> dict[str, Any]:
    """Return a command's document, as JSON gives it back; an error of the tap is raised."""
    options["state"] = json.loads(json.dumps(state or {}))
    with (
        listening(),
        opened(config, clock, setup_mapper=name not in NO_DISCOVERY, **options) as tap,
    ):
        return json.loads(json.dumps(COMMANDS[name](tap, value)))
