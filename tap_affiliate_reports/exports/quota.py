"""The exports that a run may still spend: by its own limit, and by what the service says."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass
class Quota:
    """Counts exports; `limit` is how many this run may spend, None any number."""

    limit: int | None
    spent: int = 0
    # The service's own words, once it has refused an export for today.
    refusal: str = ""
    _told_left: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the service was asked, and so has told what it has left if it ever does."""
        return self.spent > 0 or bool(self.refusal)

    @property
    def left(self) -> float:
        """How many exports can still be spent, as far as is known."""
        own = 0 if self.refusal else self._own_left
        return own if self._told_left is None else min(own, self._told_left)

    @property
    def _own_left(self) -> float:
        return math.inf if self.limit is None else self.limit - self.spent

    @property
    def line(self) -> str:
        """Why no export can be spent."""
        if self.refusal:
            return self.refusal
        if self._told_left is not None and self._told_left < self._own_left:
            return f"the service has {self._told_left} exports left today"
        return f"this run may spend {self.limit} exports (max_exports)"

    def spend(self) -> bool:
        """Count one export, if this run may spend it; the service may still refuse it."""
        if self.refusal or self._own_left <= 0:
            return False
        self.spent += 1
        return True

    def refused(self, words: str) -> None:
        """Take back the last one: the service has none left."""
        self.spent -= 1
        self.refusal = words

    def note(self, left: int | None, needed: int) -> None:
        """Note what the service says is left; tell it once beside what the plan still needs."""
        if left is not None and self._told_left is None:
            level = logging.WARNING if needed > left else logging.INFO
            logger.log(level, "the service has %d exports left, the plan needs %d more",
                       left, needed)  # fmt: skip
        self._told_left = left
