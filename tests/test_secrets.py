"""No credential and no query of a signed link appears in a log, an error or a message."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fault_matrix import HANGING
from harness import FakeClock, Run, discover, sync
from networks import HIENERGY, IMPACT, INSTAL, NETWORKS, SID, Network, basic

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

pytestmark = pytest.mark.kill

TOKEN = "t0ken/with+odd=signs&more"
BASIC = basic(TOKEN)
SECRETS = {
    # Not even the beginning of one.
    "the token": TOKEN[:10],
    "the token, quoted": quote(TOKEN, safe="")[:12],
    "the token in base64": base64.b64encode(TOKEN.encode()).decode()[:16],
    "a signed link": "X-Signature",
    "a link's end": "Expires=",
}
# impact.com's alone, so another network's words may have them.
IMPACT_SECRETS = {"the Authorization header": BASIC[:24]}
SIGNED = "https://files.example/x?X-Signature=0123456789abcdef&Expires=99"
QUERY = SIGNED.partition("?")[2]
LOGGED = ("the log", "the log's arguments", "the error")
EVERYWHERE = (*LOGGED, "the messages", "the catalog")


@dataclass
class World:
    """A network whose sandbox accepts TOKEN; each sync goes through `check`."""

    network: Network
    sandbox: Sandbox
    clock: FakeClock

    def sync(self, credential: object = TOKEN, **own: Any) -> Run:
        return sync(self.network.config(self.sandbox, credential, **own), self.clock)

    def fault(self, step: str, action: Action, times: int | None = None) -> Any:
        return self.sandbox.faults.add(self.network.steps[step], action, times)

    def check(self, run: Run, where: Container[str] = EVERYWHERE) -> None:
        texts, is_impact = texts_of(run), self.network is IMPACT
        for place, text in texts.items():
            for what, secret in (SECRETS | (IMPACT_SECRETS if is_impact else {})).items():
                found = place in where and secret in text
                assert not found, f"{what} is in {place}: {_around(text, secret)}"
        if is_impact:
            for line in texts["the log"].splitlines():
                assert f"/Mediapartners/{SID}" not in line, f"the SID in a URL: {line}"
            assert SID not in texts["the error"]
        for request in self.sandbox.requests:
            if request.origin == "storage":
                assert not {"Authorization", "X-Api-Key", "IR-Version"} & set(request.headers)


def texts_of(run: Run) -> dict[str, str]:
    """Return everything that a sync wrote, by where."""
    formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")
    return {
        "the log": "\n".join(formatter.format(record) for record in run.log),
        "the log's arguments": "\n".join(repr(record.args) for record in run.log),
        "the error": "".join(traceback.format_exception(run.error)) if run.error else "",
        "the messages": json.dumps(run.messages, default=str),
        "the catalog": run.tap.catalog_json_text if run.tap else "",
    }


def _around(text: str, secret: str) -> str:
    place = text.index(secret)
    return text[max(0, place - 200) : place + 100]


def name_of(value: object) -> str | None:
    return value.name if isinstance(value, Network) else None


@pytest.fixture
def world(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[World]:
    network: Network = request.param
    with Sandbox(now=clock.now, job_seconds=5) as sandbox:
        network.fill(sandbox, clock, TOKEN)
        yield World(network, sandbox, clock)


def of(*networks: Network) -> pytest.MarkDecorator:
    """Run a test for each of these networks."""
    return pytest.mark.parametrize("world", networks, ids=name_of, indirect=True)


# Whatever a service answers


def echo(code: int) -> Action:
    """Answer with what a careless service may print: the request's own headers and links."""
    words = (
        f"Authorization: Basic {BASIC} X-Api-Key: {TOKEN} Authorization: Token {TOKEN}"
        f" token={TOKEN} {SIGNED} sid={SID}"
    )
    document = {
        "Status": "ERROR", "Message": words, "Errors": [{"Field": "x", "Message": words}],
        "result": "ERROR", "detail": words, "state": words, "id": words, "status": words,
        "error": {"code": TOKEN, "message": words},
    }  # fmt: skip
    return status(code, body=json.dumps(document).encode())


def echo_html(code: int) -> Action:
    page = (
        f"<html><body><pre>Authorization: Basic {BASIC}\nX-Api-Key: {TOKEN}\nToken {TOKEN}\n"
        f"{SIGNED}</pre></body></html>"
    )
    return status(code, body=page.encode(), content_type="text/html")


def bad_headers(real: Callable[[], Response]) -> Response:
    """Send a line that is no header: urllib3 warns of it, with the complete URL."""
    answer = real()
    answer.headers["X-Fine"] = "yes\r\nthis line is no header"
    return answer


def redirect_on(location: str) -> Action:
    return status(302, {"Location": location})


LINKS = {
    "plain http": f"http://files.example/x?{QUERY}",
    "no address": f"http://[x?{QUERY}",
    "no port": f"https://x:99999/?{QUERY}",
    "other scheme": f"ftp://x/y?{QUERY}",
    "a path": f"/nowhere?{QUERY}",
    "a user": f"http://somebody:{quote(TOKEN, safe='')}@files.example/?{QUERY}",
}
ACTIONS: dict[str, Callable[[], Action]] = {
    **{
        f"{code} echo": lambda code=code: echo(code)  # type: ignore[misc]
        for code in (200, 400, 401, 403, 404, 409, 429, 500)
    },
    "500 HTML echo": lambda: echo_html(500),
    "200 HTML echo": lambda: echo_html(200),
    "not JSON": lambda: body(BASIC.encode() + TOKEN.encode() + SIGNED.encode()),
    "reset": reset,
    "close": close,
    "timeout": lambda: hang(HANGING),
    "login page": html_login,
    "cut": lambda: cut(0.5),
    "bad headers": lambda: bad_headers,
    **{
        f"redirected to {link}": lambda link=link: redirect_on(LINKS[link])  # type: ignore[misc]
        for link in ("plain http", "no address", "no port", "other scheme")
    },
}
HANGS = {"timeout", "bad headers"}
# A file's own text is data: nothing of a service's words is expected there.
DATA = {"not JSON", "200 echo", "200 HTML echo"}
CASES = [
    pytest.param(network, action, step, marks=pytest.mark.hangs if action in HANGS else ())
    for network in NETWORKS
    for step in network.steps
    for action in ACTIONS
    if step not in {"download", "storage"} or action not in DATA
]


@pytest.mark.kill
@pytest.mark.parametrize(("world", "action", "step"), CASES, indirect=["world"], ids=name_of)
def test_nothing_secret_is_written_whatever_fails(world: World, action: str, step: str) -> None:
    fault = world.fault(step, ACTIONS[action]())
    run = world.sync()
    assert fault.hits > 0
    world.check(run)


@of(IMPACT)
@pytest.mark.parametrize("padding", range(270, 302, 4))
def test_words_that_are_cut_do_not_end_in_half_a_secret(world: World, padding: int) -> None:
    document = {"Status": "ERROR", "Message": "x" * padding + TOKEN}
    world.fault("schedule", status(400, body=json.dumps(document).encode()))
    run = world.sync()
    assert "xxx" in str(run.error)
    for where, text in texts_of(run).items():
        for length in range(5, 12):
            assert "x" + TOKEN[:length] not in text, f"{length} letters in {where}"


@of(*NETWORKS)
def test_nothing_secret_is_written_when_all_goes_well(world: World) -> None:
    run = world.sync().ok()
    assert run.records(world.network.stream)
    assert any(request.origin == "storage" for request in world.sandbox.requests)
    assert any(record.levelno == logging.DEBUG for record in run.log)
    world.check(run)
    for part in (SID, TOKEN, "http", "storage", world.sandbox.url, "Download"):
        assert part not in json.dumps(run.states)
    assert TOKEN not in json.dumps(
        discover(world.network.config(world.sandbox, TOKEN), world.clock)
    )
    header, value = world.network.credential(TOKEN)
    own = [request for request in world.sandbox.requests if request.origin == "api"]
    assert all(request.headers[header] == value for request in own)


@pytest.mark.parametrize(
    ("world", "word"),
    [
        *((IMPACT, word) for word in ("FAILED", "ERROR", "CANCELLED")),
        (HIENERGY, "failed"),
        (INSTAL, "FAILURE"),
    ],
    indirect=["world"],
    ids=name_of,
)
def test_the_words_of_a_failed_job_are_reported_without_its_secrets(
    world: World, word: str
) -> None:
    words = f"could not upload to {SIGNED} with Basic {BASIC} and {TOKEN}"
    world.network.fail(world.sandbox, word, words)
    run = world.sync()
    assert "could not upload" in str(run.error) or word == "FAILURE"
    assert word in str(run.error) or word != "FAILURE"
    world.check(run, LOGGED)


WRONG = "an-old-token-of-somebody"


@of(*NETWORKS)
@pytest.mark.parametrize("wrong", [WRONG, f" {WRONG}\n", f"{WRONG}\u20ac", 918273645546])
def test_wrong_credentials_are_not_written_either(world: World, wrong: object) -> None:
    run = world.sync(wrong)
    assert run.error is not None
    for where, text in texts_of(run).items():
        for secret in (WRONG, basic(WRONG), "918273645546"):
            assert secret not in text, where


# Credentials stay with their origin


@of(*NETWORKS)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_from_storage_takes_credentials_to_the_api_only(world: World, code: int) -> None:
    """To other storage none; back to the API's own origin, they are its own."""

    def on(real: Callable[[], Response]) -> Response:
        link = world.sandbox.storage.sign("x.csv", real().body, 60)
        return Response(code, headers={"Location": link})

    fault = world.fault("storage", on, 1)
    run = world.sync().ok()
    assert run.records(world.network.stream)
    world.check(run)
    assert fault.hits == 1


@of(*NETWORKS)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_from_storage_to_the_api_fails_without_a_secret(world: World, code: int) -> None:
    back = f"{world.sandbox.base_url('instal')}some-task"
    world.fault("storage", status(code, {"Location": back}))
    run = world.sync()
    assert run.error is not None
    world.check(run)


@pytest.mark.parametrize(
    ("world", "step"),
    [(network, step) for network in NETWORKS for step in network.redirects],
    indirect=["world"],
    ids=name_of,
)
def test_an_answer_that_redirects_elsewhere_takes_no_credentials_there(
    world: World, step: str
) -> None:
    world.fault(step, redirect_on(world.sandbox.storage.sign("x", b"{}", 600)))
    run = world.sync()
    assert run.error is not None
    world.check(run)


@of(*NETWORKS)
def test_a_netrc_file_lends_no_credentials_to_storage(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    world.check(world.sync().ok())


@of(IMPACT)
def test_a_list_whose_next_page_is_elsewhere_takes_no_credentials_there(world: World) -> None:
    def elsewhere(real: Callable[[], Response]) -> Response:
        answer = real()
        document = json.loads(answer.body)
        document["@nextpageuri"] = f"{world.sandbox.storage_url}/storage/reports?Page=2"
        answer.body = json.dumps(document).encode()
        return answer

    fault = world.fault("list", elsewhere, 1)
    run = world.sync()
    assert fault.hits == 1
    assert run.error is not None
    world.check(run)


@of(IMPACT)
def test_a_download_is_never_redirected_to_plain_http_elsewhere(world: World) -> None:
    world.fault("download", redirect_on("http://files.example/x?X-Signature=1"))
    run = world.sync()
    assert NOT_HTTPS in str(run.error)
    world.check(run)


def linked(link: str) -> Action:
    """Give this link to the file, wherever the answer has one."""

    def act(real: Callable[[], Response]) -> Response:
        answer = real()
        document = json.loads(answer.body)
        if "export" in document:
            document["export"]["download_url"] = link
        elif document.get("state") == "SUCCESS":
            document["result"] = link
        answer.body = json.dumps(document).encode()
        return answer

    return act


@of(HIENERGY, INSTAL)
@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_can_not_be_followed_is_refused_without_its_query(
    world: World, link: str
) -> None:
    world.fault({"hienergy": "read", "instal": "poll"}[world.network.name], linked(LINKS[link]))
    run = world.sync()
    assert run.error is not None
    if link in {"plain http", "other scheme", "a user"}:
        assert NOT_HTTPS in str(run.error)
    world.check(run)


@of(INSTAL)
def test_a_file_on_the_api_s_own_origin_is_given_the_token(world: World) -> None:
    world.sandbox.instal.links_on_api = True
    run = world.sync().ok()
    assert run.records(world.network.stream)
    files = [r for r in world.sandbox.requests if r.path.endswith("/file")]
    assert files
    assert all(r.headers["Authorization"] == f"Token {TOKEN}" for r in files)
    world.check(run)


@of(IMPACT)
def test_the_ledger_holds_no_link_while_a_job_is_under_way(world: World) -> None:
    world.fault("storage", status(500))
    run = world.sync()
    assert run.state
    assert "http" not in json.dumps(run.states)
    assert SID not in json.dumps(run.states)
    assert date.fromisoformat(run.bookmark("sales") or "2026-11-01") < date(2026, 11, 18)
