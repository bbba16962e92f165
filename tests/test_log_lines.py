"""The log lines that a run keeps."""

from __future__ import annotations

import logging

import pytest

from tap_affiliate_reports.log_lines import LogLines


def test_each_line_is_kept_once_by_its_level() -> None:
    logger = logging.getLogger("some.library")
    with LogLines() as lines:
        for _ in range(2):
            logger.info("as usual")
            logger.warning("%s is old", "it")
            logger.error("broken")
    logger.warning("too late")
    assert (lines.warnings, lines.errors) == (["it is old"], ["broken"])


def test_a_line_with_wrong_arguments_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    # The handlers of pytest raise the error themselves.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with LogLines() as lines:
        logging.getLogger("some.library").warning("%d rows", "many")
    assert lines.warnings == []
