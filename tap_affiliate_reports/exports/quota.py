"""The exports that a run may still spend: by its own limits, and by the service's answers."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field

from tap_affiliate_reports.exports.export import Export
from tap_affiliate_reports.exports.job import ExportKind

EXPORTS_REMAINING = "the service has %d %s left, the plan needs %d more"

logger = logging.getLogger(__name__)


@dataclass
class Quota:
    """Counts the exports of one kind."""

    kind: ExportKind
    spent: int = field(default=0, init=False)
    # The service's message, once it has refused an export for today.
    refusal: str = field(default="", init=False)
    # What the service last said that the account may still spend; None if it did not say.
    service_remaining: int | None = field(default=None, init=False)
    _is_reported: bool = field(default=False, init=False)

    @property
    def is_known(self) -> bool:
        """Whether the service has answered a request, and so has said what remains if it does."""
        return self.spent > 0 or bool(self.refusal)

    @property
    def remaining(self) -> float:
        """The exports that can still be spent, as far as is known."""
        own = 0 if self.refusal else self._own_remaining
        return own if self.service_remaining is None else min(own, self.service_remaining)

    @property
    def _own_remaining(self) -> float:
        return math.inf if self.kind.limit is None else self.kind.limit - self.spent

    @property
    def reason(self) -> str:
        """Why no export can be spent."""
        if self.refusal:
            return self.refusal
        if self.service_remaining is not None and self.service_remaining < self._own_remaining:
            return f"the service has {self.service_remaining} {self.kind.noun} left today"
        return f"this run may spend {self.kind.limit} {self.kind.noun} ({self.kind.setting})"

    def spend(self) -> bool:
        """Count one export, if this run may spend it; the service may still refuse it."""
        if self.refusal or self._own_remaining <= 0:
            return False
        self.spent += 1
        return True

    def refuse(self, message: str) -> None:
        """Uncount the last export: the service has none left."""
        self.spent -= 1
        self.refusal = message

    def update(self, remaining: int | None) -> None:
        """Record how many exports the service says remain, None if it does not say."""
        self.service_remaining = remaining

    def report(self, needed: int) -> None:
        """Log once how many exports remain, and how many the plan still needs."""
        remaining = self.service_remaining
        if remaining is not None and not self._is_reported:
            self._is_reported = True
            level = logging.WARNING if needed > remaining else logging.INFO
            logger.log(level, EXPORTS_REMAINING, remaining, self.kind.noun, needed)


class Quotas:
    """The quota of each kind of export that one run requests."""

    def __init__(self) -> None:
        self._quotas: dict[ExportKind, Quota] = {}

    def of(self, kind: ExportKind) -> Quota:
        """Return the quota of one kind."""
        return self._quotas.setdefault(kind, Quota(kind))

    def of_export(self, export: Export) -> Quota:
        """Return the quota that an export is counted against."""
        return self.of(export.order.request.kind)
