"""Odd ground: links relative to their own page, and no folder for temporary files."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace

import pytest
from harness import FakeClock, config_for, discover, sync
from opened_tap import opened

from tap_affiliate_reports.errors import LoaderGone, SettingsError
from tap_affiliate_reports.sandbox import Response, Sandbox


def test_a_link_may_be_relative_to_its_page(sandbox: Sandbox, clock: FakeClock) -> None:
    def relative(real: Callable[[], Response]) -> Response:
        answer = real()
        document = json.loads(answer.body)
        _, sign, query = document["@nextpageuri"].partition("?")
        document["@nextpageuri"] = sign + query
        return replace(answer, body=json.dumps(document).encode())

    config = config_for(sandbox)
    whole = discover(config, clock)
    sandbox.faults.add(r"GET .*/Reports($|\?)", relative, times=None)
    assert discover(config, clock) == whole


def test_no_folder_for_temporary_files_is_one_line(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(**_: str) -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "mkdtemp", none)
    run = sync(config_for(sandbox, reports=["12172"]), clock)
    assert isinstance(run.error, SettingsError)
    assert "TMPDIR" in str(run.error)
    assert sandbox.impact.exports == []


def test_a_signal_removes_the_folder_though_the_loader_is_gone(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: list[int] = []

    def gone(_: object) -> None:
        raise LoaderGone

    with opened(config_for(sandbox, reports=["12172"]), clock) as tap:
        tap.plan()
        folder = tap.run.spool
        monkeypatch.setattr(os, "_exit", statuses.append)
        monkeypatch.setattr(tap.message_writer, "write_message", gone)
        tap.terminate(15)
    assert (statuses, folder.exists()) == ([143], False)
