"""No key of Hi Energy AI or Instal.com, and no query of their links, is told anywhere."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from faulty import HANGING
from harness import FakeClock, Run, discover, sync
from other_sources import CLICKS, CREATE, CSV, FILES, REPORT, add, config_of, put_all

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

KEY = "k3y/with+odd=signs&more"
HEADERS = {"hienergy": "X-Api-Key", "instal": "Authorization"}
SIGNED = "https://files.example/x?X-Signature=0123456789abcdef&Expires=99"
# Not even the beginning of one.
SECRETS = {
    "the key": KEY[:10],
    "the key, quoted": quote(KEY, safe="")[:12],
    "a signed link": "X-Signature",
    "a link's end": "Expires=",
}
START = date(2026, 11, 1)


@dataclass
class World:
    """One of the two sources; everything that it was told goes through `check`."""

    sandbox: Sandbox
    clock: FakeClock
    name: str

    def config(self, **own: Any) -> dict[str, Any]:
        key = {"hienergy": "api_key", "instal": "auth_token"}[self.name]
        create = {"create": [CREATE]} if self.name == "hienergy" else {}
        own = {key: KEY, "job_timeout_seconds": 20, **create, **own}
        return config_of(self.sandbox, START, **{self.name: own})

    def sync(self, **own: Any) -> Run:
        return sync(self.config(**own), self.clock)

    @property
    def rows(self) -> str:
        return {"hienergy": CSV, "instal": REPORT}[self.name]

    def check(self, run: Run) -> None:
        for where, text in told(run).items():
            for what, secret in SECRETS.items():
                assert secret not in text, f"{what} is in {where}: {_around(text, secret)}"
        for request in self.sandbox.requests:
            if request.origin == "storage":
                assert "Authorization" not in request.headers
                assert "X-Api-Key" not in request.headers


def told(run: Run) -> dict[str, str]:
    """Return everything that a sync told anybody, by where."""
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


@pytest.fixture(params=["hienergy", "instal"])
def world(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[World]:
    with Sandbox(now=clock.now, job_seconds=5) as sandbox:
        sandbox.hienergy.api_key = sandbox.instal.auth_token = KEY
        sandbox.hienergy.clear()
        for kind in FILES:
            if kind != CLICKS:
                add(sandbox, kind, kind, completed_at=clock.now() - timedelta(days=3))
        put_all(sandbox, START, 30)
        yield World(sandbox, clock, request.param)


def echo(code: int) -> Action:
    """Answer with what a careless service may print: the request's own headers and links."""
    words = f"X-Api-Key: {KEY} Authorization: Token {KEY} {SIGNED}"
    document = {
        "Status": "ERROR", "Message": words, "result": "ERROR", "detail": words, "state": words,
        "error": {"code": KEY, "message": words}, "id": words, "status": words,
    }  # fmt: skip
    return status(code, body=json.dumps(document).encode())


def echo_html(code: int) -> Action:
    page = f"<html><body><pre>X-Api-Key: {KEY}\nToken {KEY}\n{SIGNED}</pre></body></html>"
    return status(code, body=page.encode(), content_type="text/html")


def bad_headers(real: Callable[[], Response]) -> Response:
    """Send a header line that is none: urllib3 warns of it, with the whole URL."""
    answer = real()
    answer.headers["X-Fine"] = "yes\r\nthis line is no header"
    return answer


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


QUERY = SIGNED.partition("?")[2]
LINKS = {
    "plain http": f"http://files.example/x?{QUERY}",
    "no address": f"http://[x?{QUERY}",
    "no port": f"https://x:99999/?{QUERY}",
    "other scheme": f"ftp://x/y?{QUERY}",
    "a path": f"/nowhere?{QUERY}",
    "a user": f"http://somebody:{quote(KEY, safe='')}@files.example/?{QUERY}",
}
ACTIONS: dict[str, Callable[[], Action]] = {
    **{f"{code} echo": lambda code=code: echo(code) for code in (200, 400, 401, 403, 404, 409)},
    **{f"{code} echo": lambda code=code: echo(code) for code in (429, 500)},
    "500 HTML echo": lambda: echo_html(500),
    "200 HTML echo": lambda: echo_html(200),
    "not JSON": lambda: body(KEY.encode() + SIGNED.encode()),
    "reset": reset,
    "close": close,
    "timeout": lambda: hang(HANGING),
    "login page": html_login,
    "cut": lambda: cut(0.5),
    "bad headers": lambda: bad_headers,
    "redirected on": lambda: status(302, {"Location": LINKS["plain http"]}),
    "redirected to nothing": lambda: status(302, {"Location": LINKS["no port"]}),
}
STEPS = {
    "hienergy": ("hienergy list", "hienergy create", "hienergy read", "storage"),
    "instal": ("instal post", "instal poll", "storage"),
}
# A file's own text is data: nothing of a service's words is expected there.
CASES = [
    (name, action, step)
    for name, steps in STEPS.items()
    for step in steps
    for action in ACTIONS
    if step != "storage" or action not in {"not JSON", "200 echo", "200 HTML echo"}
]


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize(("world", "action", "step"), CASES, indirect=["world"])
def test_nothing_secret_is_told_whatever_fails(world: World, action: str, step: str) -> None:
    fault = world.sandbox.faults.add(step, ACTIONS[action](), None)
    run = world.sync()
    assert fault.hits > 0
    world.check(run)


def test_nothing_secret_is_told_when_all_goes_well(world: World) -> None:
    run = world.sync().ok()
    assert run.records(world.rows)
    assert any(request.origin == "storage" for request in world.sandbox.requests)
    assert any(record.levelno == logging.DEBUG for record in run.log)
    world.check(run)
    for part in (KEY, "http", "storage"):
        assert part not in json.dumps(run.states)
    assert KEY not in json.dumps(discover(world.config(), world.clock))
    own = [r for r in world.sandbox.requests if r.origin == "api"]
    assert all(KEY in str(r.headers[HEADERS[world.name]]) for r in own)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_can_not_be_followed_is_refused_without_its_query(
    world: World, link: str
) -> None:
    for step in ("hienergy read", "instal poll"):
        world.sandbox.faults.add(step, linked(LINKS[link]), None)
    run = world.sync()
    assert run.error is not None
    if link in {"plain http", "other scheme", "a user"}:
        assert NOT_HTTPS in str(run.error)
    world.check(run)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_from_storage_takes_credentials_to_the_api_only(world: World, code: int) -> None:
    """To other storage none; back to the API's own origin, they are its own."""

    def on(real: Callable[[], Response]) -> Response:
        link = world.sandbox.storage.sign("x.csv", real().body, 60)
        return Response(code, headers={"Location": link})

    fault = world.sandbox.faults.add("GET /storage/", on, 1)
    world.check(world.sync().ok())
    assert fault.hits == 1
    back = f"{world.sandbox.base_url('instal')}some-task"
    world.sandbox.faults.add("GET /storage/", status(code, {"Location": back}), None)
    run = world.sync()
    assert run.error is not None
    world.check(run)


@pytest.mark.parametrize("step", [s for steps in STEPS.values() for s in steps if s != "storage"])
def test_an_answer_that_redirects_elsewhere_takes_no_credentials_there(
    clock: FakeClock, world: World, step: str
) -> None:
    if not step.startswith(world.name):
        pytest.skip("of the other source")
    link = world.sandbox.storage.sign("x", b"{}", 600)
    world.sandbox.faults.add(step, status(302, {"Location": link}), None)
    run = world.sync()
    assert run.error is not None
    world.check(run)


@pytest.mark.parametrize("world", ["instal"], indirect=True)
def test_a_file_on_the_api_s_own_origin_is_given_the_token(world: World) -> None:
    world.sandbox.instal.links_on_api = True
    run = world.sync().ok()
    assert run.records(REPORT)
    files = [r for r in world.sandbox.requests if r.path.endswith("/file")]
    assert files
    assert all(r.headers["Authorization"] == f"Token {KEY}" for r in files)
    world.check(run)


def test_the_words_of_a_failed_job_are_told_without_its_secrets(world: World) -> None:
    words = f"could not upload to {SIGNED} with {KEY}"
    world.sandbox.hienergy.fail_next(words, 9)
    world.sandbox.instal.end_next("FAILURE", words, 9)
    run = world.sync()
    assert "FAILURE" in str(run.error) or "could not upload" in str(run.error)
    for where in ("the log", "the log's arguments", "the error"):
        for what, secret in SECRETS.items():
            assert secret not in told(run)[where], f"{what} is in {where}"


def test_wrong_credentials_are_not_told_either(world: World) -> None:
    wrong = "an-old-key-of-somebody"
    for given in (wrong, f" {wrong}\n", f"{wrong}\u20ac", 918273645546):
        key = {"hienergy": "api_key", "instal": "auth_token"}[world.name]
        run = world.sync(**{key: given})
        assert run.error is not None
        for where, text in told(run).items():
            assert wrong not in text, where
            assert "918273645546" not in text, where
