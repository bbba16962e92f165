"""The report as a file: written at each end of a sync, complete or not at all."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from harness import FakeClock, config_for, listening
from reporting import Page

from tap_affiliate_reports.command_line import CommandLine
from tap_affiliate_reports.errors import SettingsError, SyncFailed, TapError, Unauthorized
from tap_affiliate_reports.sandbox import Sandbox
from tap_affiliate_reports.sdk import ConfigInput
from tap_affiliate_reports.sync_report.file import ReportFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.kill

SECRET = "a-credential-that-nobody-else-has"


REPORT = "partner_performance_by_day"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox on the machine's clock, as the command line has no other."""
    with Sandbox(job_seconds=0.02) as running:
        yield running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the report, in a folder that does not exist yet."""
    return tmp_path / "reports" / "sync.html"


def settings_for(sandbox: Sandbox, path: Path | str, **own: Any) -> dict[str, Any]:
    settings = {
        "REPORT_FILE": str(path),
        "START_DATE": "2024-03-01",
        "END_DATE": "2024-03-31",
        "reports": [REPORT],
        "poll_interval_seconds": 0.02,
    }
    return config_for(sandbox, **{**settings, **own})


def invoke(config: Mapping[str, Any], *, parse_env: bool = False) -> None:
    """Sync as the command line does, in this process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        CommandLine.invoke(config=ConfigInput(config=dict(config), parse_env=parse_env))
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def shown(path: Path) -> str:
    """Return the text of the page, having checked that nothing else is in its folder."""
    assert list(path.parent.iterdir()) == [path]
    return Page(path.read_text()).text


@contextmanager
def warned() -> Iterator[list[str]]:
    """Collect the warnings about the report."""
    lines: list[str] = []
    with listening() as log:
        yield lines
    lines += [r.getMessage() for r in log if r.levelname == "WARNING" and "report_file" in r.msg]


class TestEnds:
    def test_a_sync_that_ends_well(self, sandbox: Sandbox, path: Path) -> None:
        invoke(settings_for(sandbox, path))
        text = shown(path)
        assert "Everything that is due is loaded" in text
        assert "1 window: 1 complete · 1 loaded in this sync" in text

    def test_a_stream_that_fails(self, sandbox: Sandbox, path: Path) -> None:
        sandbox.impact.fail_next("FAILED", "too many rows", 3)
        with pytest.raises(SyncFailed):
            invoke(settings_for(sandbox, path))
        assert "too many rows" in shown(path)

    def test_a_quota_that_is_spent(self, sandbox: Sandbox, path: Path) -> None:
        with pytest.raises(SyncFailed):
            invoke(settings_for(sandbox, path, max_exports=1, window="week"))
        text = shown(path)
        assert "The export quota stopped this sync early" in text
        assert "impact: 1 of at most 1" in text

    def test_refused_credentials(self, sandbox: Sandbox, path: Path) -> None:
        with pytest.raises(Unauthorized):
            invoke(settings_for(sandbox, path, auth_token=SECRET))
        text = shown(path)
        assert "The sync could not begin" in text
        assert "The service rejected the credentials: check them" in text
        assert SECRET not in path.read_text()

    def test_a_wrong_setting(self, sandbox: Sandbox, path: Path) -> None:
        with pytest.raises(SettingsError):
            invoke(settings_for(sandbox, path, reportz=[REPORT]))
        assert "impact.reportz: is not a setting" in shown(path)

    def test_a_page_is_that_of_the_last_sync(self, sandbox: Sandbox, path: Path) -> None:
        invoke(settings_for(sandbox, path))
        with pytest.raises(TapError):
            invoke(settings_for(sandbox, path, auth_token=SECRET))
        assert "Everything that is due is loaded" not in shown(path)

    def test_sigterm(self, tmp_path: Path, path: Path) -> None:
        with Sandbox(job_seconds=60) as sandbox:
            config = tmp_path / "config.json"
            config.write_text(
                json.dumps(settings_for(sandbox, path, reports=["partner_performance_by_day"]))
            )
            command = [sys.executable, "-m", "tap_affiliate_reports", f"--config={config}"]
            with subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            ) as tap:
                assert tap.stderr is not None
                assert any(f"requested {REPORT}" in line for line in tap.stderr)
                tap.terminate()
                tap.stderr.read()
            assert tap.returncode == 128 + signal.SIGTERM
        text = shown(path)
        assert "The sync was stopped by signal 15. Run again" in text
        assert "1 window: 1 missing" in text
        assert "impact: 1 of at most 90" in text

    def test_a_signal_while_the_reports_are_listed(
        self, sandbox: Sandbox, tmp_path: Path, path: Path
    ) -> None:
        config = tmp_path / "config.json"
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"http://127.0.0.1:{silent.getsockname()[1]}"
            config.write_text(json.dumps(settings_for(sandbox, path, api_url=address)))
            command = [sys.executable, "-m", "tap_affiliate_reports", f"--config={config}"]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as tap:
                silent.settimeout(60)
                connection, _ = silent.accept()
                tap.terminate()
                tap.wait(60)
                connection.close()
            assert tap.returncode == 128 + signal.SIGTERM
        assert "The sync was stopped by signal 15. Run again" in shown(path)


class TestFile:
    def test_the_environment_names_it_too(
        self, sandbox: Sandbox, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TAP_AFFILIATE_REPORTS_REPORT_FILE", str(path))
        invoke({**settings_for(sandbox, "no.html"), "report_file": None}, parse_env=True)
        assert "Everything" in shown(path)

    def test_without_the_setting_there_is_none(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        config = settings_for(sandbox, "")
        invoke(config)
        del config["report_file"]
        invoke(config)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["folder", "file/sync.html", "."])
    def test_one_that_can_not_be_written_is_a_warning(
        self, sandbox: Sandbox, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "file").touch()
        with warned() as lines:
            invoke(settings_for(sandbox, tmp_path / name))
        (line,) = lines
        assert "the sync report can't be written" in line
        assert sorted(tmp_path.rglob("*")) == [tmp_path / "file", tmp_path / "folder"]

    def test_a_mistake_in_the_page_is_a_warning_and_the_old_page_stays(
        self, sandbox: Sandbox, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.parent.mkdir()
        path.write_text("of yesterday")

        def broken(*_: object) -> bytes:
            raise ZeroDivisionError

        monkeypatch.setattr("tap_affiliate_reports.sync_report.file.page", broken)
        with warned() as lines:
            invoke(settings_for(sandbox, path))
        assert len(lines) == 1
        assert path.read_text() == "of yesterday"

    def test_an_error_of_the_sync_is_raised_whatever_becomes_of_the_page(self) -> None:
        report = ReportFile("/", "1.2.3", FakeClock())
        with warned() as lines, pytest.raises(SettingsError), report:
            raise SettingsError("wrong")
        assert len(lines) == 1

    def test_anyone_may_read_it(self, sandbox: Sandbox, path: Path) -> None:
        """A file of tempfile would be its owner's alone."""
        invoke(settings_for(sandbox, path))
        mask = os.umask(0)
        os.umask(mask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_without_a_report_its_code_is_not_even_imported(sandbox: Sandbox, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**settings_for(sandbox, ""), "report_file": None}))
    code = (
        "import sys; from tap_affiliate_reports.command_line import main; "
        f"sys.argv = ['tap', '--config', {str(config)!r}]\n"
        "try: main()\n"
        "finally: assert 'tap_affiliate_reports.sync_report' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr[-2000:]
