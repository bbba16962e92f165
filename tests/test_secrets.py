"""No credential, and no query of a signed link, is told anywhere, at any log level."""

from __future__ import annotations

import base64
import json
import logging
import threading
import traceback
from collections.abc import Callable
from datetime import date
from urllib.parse import quote

import pytest
from harness import FakeClock, Run, config_for, sync
from small_source import SmallSource

from tap_affiliate_reports.http import Timeouts
from tap_affiliate_reports.http.transport import NOT_HTTPS
from tap_affiliate_reports.sandbox import (
    Response,
    Sandbox,
    body,
    close,
    cut,
    hang,
    html_login,
    reset,
    status,
)
from tap_affiliate_reports.sandbox.faults import Action

SID = "IRsid42secretive"
TOKEN = "t0ken/with+odd=signs&more"
BASIC = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
SECRETS = {
    # Not even the beginning of one.
    "the token": TOKEN[:10],
    "the token, quoted": quote(TOKEN, safe="")[:12],
    "the token in base64": base64.b64encode(TOKEN.encode()).decode()[:16],
    "the Authorization header": BASIC[:24],
    "a signed link": "X-Signature",
    "a link's end": "Expires=",
}
SIGNED = "https://files.example/x?X-Signature=0123456789abcdef&Expires=99"


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    with Sandbox(now=clock.now, job_seconds=5, account_sid=SID, auth_token=TOKEN) as sandbox:
        SmallSource(sandbox, clock, ["sales"])
        yield sandbox  # type: ignore[misc]


def run_with(sandbox: Sandbox, clock: FakeClock, **impact: object) -> Run:
    config = config_for(
        sandbox,
        START_DATE="2026-11-01",
        **{"reports": ["sales"], "job_timeout_seconds": 60, **impact},  # type: ignore[arg-type]
    )
    config["impact"] |= {"account_sid": SID, "auth_token": impact.get("auth_token", TOKEN)}
    return sync(config, clock)


def told(run: Run) -> dict[str, str]:
    """Return everything that a sync told anybody, by where."""
    formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")
    log = "\n".join(formatter.format(record) for record in run.log)
    arguments = "\n".join(repr(record.args) for record in run.log)
    error = "".join(traceback.format_exception(run.error)) if run.error else ""
    return {
        "the log": log,
        "the log's arguments": arguments,
        "the error": error,
        "the messages": json.dumps(run.messages, default=str),
        "the catalog": run.tap.catalog_json_text if run.tap else "",
    }


def check_silent(run: Run, sandbox: Sandbox) -> None:
    for where, text in told(run).items():
        for what, secret in SECRETS.items():
            assert secret not in text, f"{what} is in {where}: {_around(text, secret)}"
    for line in told(run)["the log"].splitlines():
        assert f"/Mediapartners/{SID}" not in line, f"the SID in a URL: {line}"
    assert SID not in told(run)["the error"]
    for request in sandbox.requests:
        if request.origin == "storage":
            assert "Authorization" not in request.headers
            assert "IR-Version" not in request.headers


def _around(text: str, secret: str) -> str:
    place = text.index(secret)
    return text[max(0, place - 200) : place + 100]


def echo(code: int) -> Action:
    """Answer with what a careless service may print: the request's own headers and links."""
    words = f"Authorization: Basic {BASIC} token={TOKEN} {SIGNED} sid={SID}"
    document = {"Status": "ERROR", "Message": words, "Errors": [{"Field": "x", "Message": words}]}
    return status(code, body=json.dumps(document).encode())


def echo_html(code: int) -> Action:
    page = f"<html><body><pre>Authorization: Basic {BASIC}\n{TOKEN}\n{SIGNED}</pre></body></html>"
    return status(code, body=page.encode(), content_type="text/html")


def bad_headers(real: Callable[[], Response]) -> Response:
    """Send a header line that is none: urllib3 warns of it, with the whole URL."""
    answer = real()
    answer.headers["X-Fine"] = "yes\r\nthis line is no header"
    return answer


def redirect_on(location: str) -> Action:
    return status(302, {"Location": location})


HANGING = threading.Event()
STEPS = {
    "list": "GET [^?]*/Reports(\\?|$)",
    "metadata": "/MetaData",
    "company": "/CompanyInformation",
    "schedule": "/ReportExport/",
    "poll": "GET .*/Jobs/[^/?]+(\\?|$)",
    "jobs": "GET .*/Jobs\\?",
    "download": "/Download",
    "storage": "GET /storage/",
}
ACTIONS: dict[str, Callable[[], Action]] = {
    "200 echo": lambda: echo(200),
    "400 echo": lambda: echo(400),
    "401 echo": lambda: echo(401),
    "403 echo": lambda: echo(403),
    "404 echo": lambda: echo(404),
    "429 echo": lambda: echo(429),
    "500 echo": lambda: echo(500),
    "500 HTML echo": lambda: echo_html(500),
    "200 HTML echo": lambda: echo_html(200),
    "reset": reset,
    "close": close,
    "timeout": lambda: hang(HANGING),
    "login page": html_login,
    "cut": lambda: cut(0.5),
    "bad headers": lambda: bad_headers,
    "redirected on": lambda: redirect_on(SIGNED.replace("https", "http")),
    "bad link": lambda: redirect_on(f"http://[x?{SIGNED.partition('?')[2]}"),
    "bad port": lambda: redirect_on(f"https://x:99999/?{SIGNED.partition('?')[2]}"),
    "other scheme": lambda: redirect_on(f"ftp://x/y?{SIGNED.partition('?')[2]}"),
    "not JSON": lambda: body(BASIC.encode() + TOKEN.encode() + SIGNED.encode()),
}


# A file's own text is data: nothing of a service's words is expected there.
CASES = [
    (name, step)
    for name in ACTIONS
    for step in STEPS
    if not (step in {"download", "storage"} and name in {"not JSON", "200 echo", "200 HTML echo"})
]


@pytest.mark.parametrize(("name", "step"), CASES)
def test_nothing_secret_is_told_whatever_fails(
    sandbox: Sandbox, clock: FakeClock, name: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Timeouts.__init__, "__defaults__", (1.0, 0.1))
    HANGING.clear()
    fault = sandbox.faults.add(STEPS[step], ACTIONS[name](), None)
    try:
        run = run_with(sandbox, clock)
    finally:
        HANGING.set()
    assert fault.hits > 0
    check_silent(run, sandbox)


@pytest.mark.parametrize("padding", range(270, 302, 4))
def test_words_that_are_cut_do_not_end_in_half_a_secret(
    sandbox: Sandbox, clock: FakeClock, padding: int
) -> None:
    document = {"Status": "ERROR", "Message": "x" * padding + TOKEN}
    sandbox.faults.add(STEPS["schedule"], status(400, body=json.dumps(document).encode()), None)
    run = run_with(sandbox, clock)
    assert "xxx" in str(run.error)
    for where, text in told(run).items():
        for length in range(5, 12):
            assert "x" + TOKEN[:length] not in text, f"{length} letters in {where}"


def test_nothing_secret_is_told_when_all_goes_well(sandbox: Sandbox, clock: FakeClock) -> None:
    run = run_with(sandbox, clock).ok()
    assert run.records("sales")
    assert any(request.origin == "storage" for request in sandbox.requests)
    assert any(record.levelno == logging.DEBUG for record in run.log)
    check_silent(run, sandbox)
    state = json.dumps(run.state)
    for part in (SID, "http", "storage", sandbox.url, "Download"):
        assert part not in state


@pytest.mark.parametrize("word", ["FAILED", "ERROR", "CANCELLED"])
def test_nothing_secret_in_a_jobs_own_words_is_told_in_log_or_error(
    sandbox: Sandbox, clock: FakeClock, word: str
) -> None:
    sandbox.impact.fail_next(word, f"could not upload to {SIGNED} with Basic {BASIC}", 9)
    run = run_with(sandbox, clock)
    assert "could not upload" in str(run.error)
    for where in ("the log", "the log's arguments", "the error"):
        for what, secret in SECRETS.items():
            assert secret not in told(run)[where], f"{what} is in {where}"


def test_wrong_credentials_are_not_told_either(sandbox: Sandbox, clock: FakeClock) -> None:
    wrong = "an-old-token-of-somebody"
    run = run_with(sandbox, clock, auth_token=wrong)
    assert run.error is not None
    basic = base64.b64encode(f"{SID}:{wrong}".encode()).decode()
    for where, text in told(run).items():
        assert wrong not in text, where
        assert basic not in text, where


def test_a_token_of_the_wrong_type_is_not_told(sandbox: Sandbox, clock: FakeClock) -> None:
    run = run_with(sandbox, clock, auth_token=918273645546)
    assert run.error is not None
    for where, text in told(run).items():
        assert "918273645546" not in text, where


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_credentials_stay_away_when_storage_redirects_on(
    sandbox: Sandbox, clock: FakeClock, code: int
) -> None:
    def redirect(real: Callable[[], Response]) -> Response:
        answer = real()
        link = sandbox.storage.sign("sales.csv", answer.body, 60)
        return Response(code, headers={"Location": link})

    fault = sandbox.faults.add("GET /storage/", redirect, 1)
    run = run_with(sandbox, clock).ok()
    assert fault.hits == 1
    assert run.records("sales")
    check_silent(run, sandbox)


def test_a_list_whose_next_page_is_elsewhere_takes_no_credentials_there(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    def elsewhere(real: Callable[[], Response]) -> Response:
        answer = real()
        document = json.loads(answer.body)
        document["@nextpageuri"] = f"{sandbox.storage_url}/storage/reports?Page=2"
        answer.body = json.dumps(document).encode()
        return answer

    fault = sandbox.faults.add(STEPS["list"], elsewhere, 1)
    run = run_with(sandbox, clock)
    assert fault.hits == 1
    assert run.error is not None
    check_silent(run, sandbox)


@pytest.mark.parametrize("name", ["list", "metadata", "poll", "schedule"])
def test_a_json_answer_that_redirects_elsewhere_takes_no_credentials_there(
    sandbox: Sandbox, clock: FakeClock, name: str
) -> None:
    link = sandbox.storage.sign("x", b"{}", 600)
    sandbox.faults.add(STEPS[name], redirect_on(link), None)
    run = run_with(sandbox, clock)
    assert run.error is not None
    check_silent(run, sandbox)


def test_a_download_is_never_redirected_to_plain_http_elsewhere(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.faults.add("/Download", redirect_on("http://files.example/x?X-Signature=1"), None)
    run = run_with(sandbox, clock)
    assert NOT_HTTPS in str(run.error)
    check_silent(run, sandbox)


def test_a_netrc_file_lends_no_credentials_to_storage(
    sandbox: Sandbox, clock: FakeClock, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w") as file:  # noqa: PTH123
        file.write("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", netrc)
    run = run_with(sandbox, clock).ok()
    check_silent(run, sandbox)


def test_the_ledger_holds_no_link_while_a_job_is_under_way(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.faults.add("GET /storage/", status(500), None)
    run = run_with(sandbox, clock)
    assert run.state
    assert "http" not in json.dumps(run.states)
    assert SID not in json.dumps(run.states)
    assert date.fromisoformat(run.bookmark("sales") or "2026-11-01") < date(2026, 11, 18)
