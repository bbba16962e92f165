"""The HTTP client: what it repeats and for how long, its credentials, redirects and redaction."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from harness import NOW, FakeClock, listening
from requests.auth import HTTPBasicAuth

from tap_affiliate_reports import http as tap_http
from tap_affiliate_reports.errors import (
    ApiError,
    FileError,
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from tap_affiliate_reports.http import ApiClient, ErrorFormat, NotReady, Timeouts, backoff
from tap_affiliate_reports.sandbox import LoggedRequest, Response
from tap_affiliate_reports.sandbox.server import Origin, Recorder

TOKEN = "s3cret-t0ken"
SID = "IRmine"
BASIC = "SVJtaW5lOnMzY3JldC10MGtlbg=="
PATH = f"/Mediapartners/{SID}/Jobs"
FILE = b"Id,Amount\r\n1,2.50\r\n" * 100


class Service(Recorder):
    """Two origins on loopback; each sends the next response of its list, and repeats the last."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock.now)
        self.answers: dict[str, list[Response]] = {"api": [], "storage": []}
        self.api = Origin("api", 0, self, [self.next])
        self.storage = Origin("storage", 0, self, [self.next])

    def next(self, request: LoggedRequest) -> Response:
        answers = self.answers[request.origin]
        return replace(answers.pop(0) if len(answers) > 1 else answers[0])

    def says(self, *answers: Response) -> None:
        """Set the responses of the API's origin."""
        self.answers["api"] = list(answers)

    def stores(self, *answers: Response) -> None:
        """Set the responses of the storage's origin."""
        self.answers["storage"] = list(answers)

    def asked(self, origin: str = "api") -> list[LoggedRequest]:
        return [request for request in self.requests if request.origin == origin]

    def stop(self) -> None:
        self.api.stop()
        self.storage.stop()


@pytest.fixture
def service(clock: FakeClock) -> Iterator[Service]:
    """A service with the responses of the test."""
    running = Service(clock)
    yield running
    running.stop()


def client_of(base_url: str, clock: FakeClock, **options: Any) -> ApiClient:
    headers = {"Accept": "application/json", "IR-Version": "16", "User-Agent": "tests/1"}
    given = {"secrets": (TOKEN, SID), "random_unit": lambda: 1.0, **options}
    return ApiClient(
        base_url, HTTPBasicAuth(SID, TOKEN), headers, clock, **{"max_wait_seconds": 300.0, **given}
    )


@pytest.fixture
def client(service: Service, clock: FakeClock) -> ApiClient:
    """A client of the service with the longest jitter."""
    return client_of(service.api.url, clock)


def answer(document: Any = None, status: int = 200, **headers: str) -> Response:
    content = json.dumps({"ok": True} if document is None else document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, content, headers=named)


def html(status: int = 200, words: str = "Bad Gateway") -> Response:
    page = f"<html><head><style>b {{}}</style></head>\n<body><b>{words}</b></body></html>"
    return Response(status, page.encode(), "text/html")


def moved(to: str, status: int = 302) -> Response:
    return Response(status, headers={"Location": to})


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(timezone.utc), usegmt=True)


OK = answer()
RESET = Response(drop="reset")
CLOSED = Response(drop="close")
CUT = Response(200, FILE[:100], length=len(FILE))
CUT_CHUNKED = Response(200, FILE[:100], framing="chunked")


class TestAnswers:
    def test_json_is_requested_with_the_credentials(
        self, service: Service, client: ApiClient
    ) -> None:
        service.says(OK)
        got = client.json(PATH, {"A": ["1", "2"], "B": "x y"})
        assert (got.status, got.document) == (200, {"ok": True})
        (request,) = service.requests
        assert request.headers["Accept"] == "application/json"
        assert request.headers["IR-Version"] == "16"
        assert request.headers["User-Agent"] == "tests/1"
        assert request.headers["Authorization"] == f"Basic {BASIC}"
        assert request.query == {"A": ["1", "2"], "B": ["x y"]}

    def test_relative_links_are_followed_below_the_base(
        self, service: Service, client: ApiClient
    ) -> None:
        service.says(OK)
        client.json(f"{PATH}?Page=2&PageSize=5")
        assert service.requests[0].query == {"Page": ["2"], "PageSize": ["5"]}

    def test_no_number_passes_through_a_float(self, service: Service, client: ApiClient) -> None:
        exact = b'{"a": 0.123456789012345678, "b": 123456789012345678901234567890}'
        service.says(Response(200, b"\xef\xbb\xbf" + exact))
        document = client.json(PATH).document
        assert document == {
            "a": Decimal("0.123456789012345678"),
            "b": 123456789012345678901234567890,
        }

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, Rejected), (401, Unauthorized), (403, Forbidden), (404, NotFound),
            (405, Rejected), (410, NotFound), (422, Rejected),
        ],
    )  # fmt: skip
    def test_a_refusal_is_not_repeated_and_has_the_service_s_message(
        self, status: int, error: type[ApiError], service: Service, client: ApiClient
    ) -> None:
        service.says(answer({"message": "No way"}, status))
        with pytest.raises(error, match=f"HTTP {status}: No way"):
            client.json(PATH)
        assert len(service.requests) == 1

    def test_an_error_with_status_200_is_known_by_its_format(
        self, service: Service, clock: FakeClock
    ) -> None:
        error = {"ok": False, "why": "Bad START_DATE"}
        known = ErrorFormat(lambda document: not document["ok"], lambda document: document["why"])
        client = client_of(service.api.url, clock, error_format=known)
        service.says(answer(error))
        with pytest.raises(Rejected, match="HTTP 200: Bad START_DATE"):
            client.json(PATH)
        assert len(service.requests) == 1
        assert client_of(service.api.url, clock).json(PATH).document == error

    @pytest.mark.parametrize("page", [html(), Response(200, b""), Response(200, b'{"cut": ')])
    def test_a_response_other_than_json_is_requested_again(
        self, page: Response, service: Service, client: ApiClient
    ) -> None:
        service.says(page, OK)
        assert client.json(PATH).document == {"ok": True}
        assert len(service.requests) == 2

    def test_a_redirect_of_a_call_is_refused_and_not_followed(
        self, service: Service, client: ApiClient
    ) -> None:
        service.says(moved(service.storage.url + "/else?X-Signature=abc"))
        with pytest.raises(ApiError) as raised:
            client.json(PATH)
        assert "X-Signature" not in str(raised.value)
        assert not service.asked("storage")

    @pytest.mark.parametrize("link", ["http://[", "http://127.0.0.1:port/", "http://:0:0/"])
    def test_a_link_that_is_none_is_an_api_error(
        self, link: str, service: Service, client: ApiClient
    ) -> None:
        with pytest.raises(ApiError):
            client.json(link)

    @pytest.mark.parametrize("document", [
        {"Message": "first\nsecond\r\n\x1b[31mthird"}, {"message": "first\nsecond"},
    ])  # fmt: skip
    def test_the_service_s_message_is_one_line(
        self, document: dict[str, Any], service: Service, client: ApiClient
    ) -> None:
        service.says(answer(document, 400))
        with pytest.raises(Rejected) as raised:
            client.json(PATH)
        assert str(raised.value).isprintable()

    @pytest.mark.parametrize("document", [
        {"Message": ["a"]}, {"Message": {"a": 1}}, {"error": "words"}, [], 5, "words",
    ])  # fmt: skip
    def test_an_error_of_any_shape_is_an_api_error(
        self, document: Any, service: Service, client: ApiClient
    ) -> None:
        service.says(answer(document, 400))
        with pytest.raises(Rejected, match="400"):
            client.json(PATH)


class TestRetries:
    @pytest.mark.parametrize(
        "failure",
        [
            answer(status=500), html(502), answer(status=503), answer(status=504),
            answer(status=408), answer(status=429), RESET, CLOSED, CUT, CUT_CHUNKED,
        ],
        ids=["500", "502", "503", "504", "408", "429", "reset", "closed", "cut", "cut chunked"],
    )  # fmt: skip
    def test_what_may_pass_is_tried_again(
        self, failure: Response, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        service.says(failure, failure, OK)
        assert client.json(PATH).document == {"ok": True}
        assert len(service.requests) == 3
        assert clock.slept == [1.0, 2.0]

    def test_a_read_time_out_is_tried_again(self, service: Service, clock: FakeClock) -> None:
        client = client_of(service.api.url, clock, timeouts=Timeouts(read=0.05))
        service.says(OK)
        release = threading.Event()

        def hang(request: LoggedRequest) -> None:
            if len(service.requests) == 1:
                release.wait(5)

        service.on_request = hang
        assert client.json(PATH).document == {"ok": True}
        release.set()
        assert len(service.requests) == 2

    def test_pauses_grow_and_then_it_is_given_up(
        self, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        service.says(html(502))
        with pytest.raises(Unavailable) as raised:
            client.json(PATH)
        assert clock.slept == [1, 2, 4, 8, 16]
        assert "502: Bad Gateway" in str(raised.value)
        assert "<" not in str(raised.value)

    def test_pauses_are_jittered_by_up_to_half_and_have_an_end(self) -> None:
        assert [backoff(2, unit) for unit in (0.0, 0.5, 1.0)] == [2.0, 3.0, 4.0]
        assert max(backoff(attempt, 1.0) for attempt in range(30)) == 60

    def test_a_connection_that_is_refused_is_unavailable(
        self, service: Service, clock: FakeClock
    ) -> None:
        client = client_of(service.api.url, clock)
        service.stop()
        with pytest.raises(Unavailable) as raised:
            client.json(PATH, {"X-Signature": "abc"})
        assert len(clock.slept) == 5
        assert "X-Signature" not in str(raised.value)
        assert SID not in str(raised.value)

    def test_retry_after_in_seconds_is_waited_for(
        self, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        service.says(answer(status=429, Retry_After="7"), answer(status=503, Retry_After="9"), OK)
        client.json(PATH)
        assert clock.slept == [7, 9]

    def test_retry_after_as_a_date_is_counted_by_the_service_s_clock(
        self, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        theirs = NOW + timedelta(hours=5)
        until = http_date(theirs + timedelta(seconds=40))
        service.says(answer(status=429, Retry_After=until, Date=http_date(theirs)), OK)
        client.json(PATH)
        assert clock.slept == [40]

    def test_retry_after_comes_before_the_reset_header(
        self, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        service.says(answer(status=429, Retry_After="3", RateLimit_Reset="50"), OK)
        client.json(PATH)
        assert clock.slept == [3]

    @pytest.mark.parametrize(
        "headers",
        [
            {"RateLimit_Reset": "50"},
            {"X_RateLimit_Reset": "50"},
            {"X_RateLimit_Reset": str(int(NOW.timestamp()) + 50)},
            {"Retry_After": "soon", "RateLimit_Reset": "50"},
            {"Retry_After": "", "RateLimit_Reset": "50"},
        ],
    )
    def test_the_reset_header_is_waited_for(
        self, headers: dict[str, str], service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        service.says(answer(status=429, **headers), OK)
        client.json(PATH)
        assert clock.slept == [50]

    @pytest.mark.parametrize("value", ["-5", "0", "nan", "Thu, 01 Jan 1970 00:00:00 GMT", "99 xx"])
    def test_a_senseless_pause_is_a_pause_of_our_own(
        self, value: str, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        service.says(answer(status=429, Retry_After=value), OK)
        client.json(PATH)
        assert clock.slept == [1]

    @pytest.mark.parametrize("value", ["301", "86400", "inf"])
    def test_a_longer_wait_than_allowed_is_not_begun(
        self, value: str, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        service.says(answer(status=429, Retry_After=value))
        with pytest.raises(RateLimited) as raised:
            client.json(PATH)
        assert raised.value.retry_after == float(value)
        assert clock.slept == []

    def test_the_longest_wait_is_a_setting(self, service: Service, clock: FakeClock) -> None:
        client = client_of(service.api.url, clock, max_wait_seconds=10)
        service.says(answer(status=429, Retry_After="11"))
        with pytest.raises(RateLimited):
            client.json(PATH)
        service.says(answer(status=429, Retry_After="10"), OK)
        client.json(PATH)
        assert clock.slept == [10]

    def test_many_waits_together_are_no_longer_than_allowed(
        self, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        service.says(answer(status=429, Retry_After="120"))
        with pytest.raises(RateLimited):
            client.json(PATH)
        assert clock.slept == [120, 120]


class TestDownloads:
    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        """The path of the downloaded file."""
        return tmp_path / "file.csv"

    def redirected(self, service: Service) -> str:
        """Make the API redirect each download to a signed link, and return the link."""
        link = f"{service.storage.url}/file?X-Signature=abc&Expires=1"
        service.says(moved(link))
        return link

    def test_the_bytes_may_come_at_once(
        self, service: Service, client: ApiClient, target: Path
    ) -> None:
        service.says(Response(200, FILE, "text/csv"))
        assert client.download(PATH, target) is None
        assert target.read_bytes() == FILE

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_to_another_origin_goes_without_credentials(
        self, status: int, service: Service, client: ApiClient, target: Path
    ) -> None:
        service.says(moved(f"{service.storage.url}/file?X-Signature=abc", status))
        service.stores(Response(200, FILE))
        client.download(f"{PATH}?Format=CSV", target)
        assert target.read_bytes() == FILE
        (request,) = service.asked("storage")
        assert request.query == {"X-Signature": ["abc"]}
        assert "Authorization" not in request.headers
        assert "IR-Version" not in request.headers
        assert request.headers["User-Agent"] == "tests/1"

    def test_another_origin_gets_no_credentials_of_a_netrc_file(
        self,
        service: Service,
        client: ApiClient,
        target: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login me password mine\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        self.redirected(service)
        service.stores(Response(200, FILE))
        client.download(PATH, target)
        assert "Authorization" not in service.asked("storage")[0].headers
        assert service.asked("api")[0].headers["Authorization"] == f"Basic {BASIC}"

    def test_another_origin_gets_no_credentials_of_the_link_s_own(
        self, service: Service, client: ApiClient, target: Path
    ) -> None:
        service.says(moved(service.storage.url.replace("//", f"//{SID}:{TOKEN}@") + "/file"))
        service.stores(Response(200, FILE))
        client.download(PATH, target)
        assert "Authorization" not in service.asked("storage")[0].headers

    def test_another_origin_gets_no_cookie_of_the_api(
        self, service: Service, client: ApiClient, target: Path
    ) -> None:
        self.redirected(service)
        service.answers["api"][0].headers["Set-Cookie"] = "session=secret; Path=/"
        service.stores(Response(200, FILE))
        client.download(PATH, target)
        assert "Cookie" not in service.asked("storage")[0].headers

    @pytest.mark.parametrize(
        "to",
        [
            "http://storage.example.com/file?X-Signature=abc",
            "//storage.example.com/file?X-Signature=abc",
            "http://127.0.0.1.example.com/file?X-Signature=abc",
            "http://user:word@example.com/file?X-Signature=abc",
            "ftp://127.0.0.1/file?X-Signature=abc",
            "file:///etc/passwd?X-Signature=abc",
            "https://[::1/file?X-Signature=abc",
            "https://127.0.0.1:port/file?X-Signature=abc",
        ],
    )
    def test_a_redirect_without_https_is_refused_and_its_query_hidden(
        self, to: str, service: Service, client: ApiClient, clock: FakeClock, target: Path
    ) -> None:
        service.says(moved(to))
        with listening() as log, pytest.raises(ApiError) as raised:
            client.download(PATH, target)
        output = "\n".join([str(raised.value), *(record.getMessage() for record in log)])
        assert "abc" not in output
        assert "word" not in output
        assert clock.slept == [], "it is not even tried"
        assert not target.exists()

    def test_redirects_without_end_are_an_error(
        self, service: Service, client: ApiClient, target: Path
    ) -> None:
        service.says(moved("/again"))
        with pytest.raises(ApiError, match="redirected"):
            client.download(PATH, target)
        assert len(service.requests) < 50

    def test_a_job_that_is_not_done_is_no_file(
        self, service: Service, client: ApiClient, target: Path
    ) -> None:
        service.says(answer({"Id": "1", "Status": "RUNNING"}, 202))
        assert client.download(PATH, target) == NotReady({"Id": "1", "Status": "RUNNING"})
        assert not target.exists()

    @pytest.mark.parametrize(
        "failure",
        [RESET, CLOSED, CUT, CUT_CHUNKED, html(503), Response(403, b"<Error>expired</Error>")],
        ids=["reset", "closed", "cut", "cut chunked", "503", "expired"],
    )
    def test_a_download_that_breaks_begins_again_with_a_fresh_link(
        self, failure: Response, service: Service, client: ApiClient, target: Path
    ) -> None:
        self.redirected(service)
        service.stores(failure, Response(200, FILE))
        client.download(PATH, target)
        assert target.read_bytes() == FILE
        assert len(service.asked("api")) == 2

    def test_a_link_that_is_always_refused_is_an_error(
        self, service: Service, client: ApiClient, target: Path
    ) -> None:
        self.redirected(service)
        service.stores(Response(403, b"<Error><Code>AccessDenied</Code></Error>"))
        with pytest.raises(ApiError, match="403"):
            client.download(PATH, target)

    @pytest.mark.parametrize(
        ("status", "error"), [(401, Unauthorized), (403, Forbidden), (404, NotFound)]
    )
    def test_a_refusal_of_the_api_itself_is_final(
        self,
        status: int,
        error: type[ApiError],
        service: Service,
        client: ApiClient,
        target: Path,
    ) -> None:
        service.says(answer({"Message": "no"}, status))
        with pytest.raises(error):
            client.download(PATH, target)
        assert len(service.requests) == 1

    def test_a_file_that_can_not_be_stored_is_a_clear_error(
        self, service: Service, client: ApiClient, tmp_path: Path
    ) -> None:
        service.says(Response(200, FILE))
        with pytest.raises(FileError, match="store"):
            client.download(PATH, tmp_path / "nowhere" / "file.csv")
        assert len(service.requests) == 1


class TestTheServiceSClock:
    def test_it_follows_the_date_of_its_responses(
        self, service: Service, client: ApiClient, clock: FakeClock
    ) -> None:
        assert client.server_now() == NOW
        service.says(answer(Date=http_date(NOW + timedelta(hours=3))))
        client.json(PATH)
        assert client.server_now() == NOW + timedelta(hours=3)
        clock.advance(minutes=10)
        assert client.server_now() == NOW + timedelta(hours=3, minutes=10)

    def test_it_follows_the_date_of_a_refusal(self, service: Service, client: ApiClient) -> None:
        service.says(answer(status=404, Date=http_date(NOW - timedelta(days=1))))
        with pytest.raises(NotFound):
            client.json(PATH)
        assert client.server_now() == NOW - timedelta(days=1)

    def test_it_ignores_the_date_of_another_origin(
        self, service: Service, client: ApiClient, tmp_path: Path
    ) -> None:
        service.says(moved(f"{service.storage.url}/file"))
        service.stores(Response(200, FILE, headers={"Date": http_date(NOW + timedelta(days=9))}))
        client.download(PATH, tmp_path / "file")
        assert client.server_now() == NOW

    @pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Nov 2026 15:00:00 GMT"])
    def test_a_date_that_is_none_changes_nothing(
        self, date: str, service: Service, client: ApiClient
    ) -> None:
        service.says(answer(Date=date))
        client.json(PATH)
        assert client.server_now() == NOW


class TestSecrets:
    def output_of(self, act: Callable[[], object]) -> str:
        """Return the output of a failing call: its error and its log at all levels."""
        with listening() as log, pytest.raises(ApiError) as raised:
            act()
        formatter = logging.Formatter()
        return "\n".join([str(raised.value), *map(formatter.format, log)])

    def test_urls_are_logged_without_query_user_and_account(self, client: ApiClient) -> None:
        assert client.redact(client.url(f"{PATH}/7?a=b")) == "/Mediapartners/***/Jobs/7"
        assert client.redact("https://me:pw@storage.example.com/b/k?X-Signature=abc") == (
            "https://storage.example.com/..."
        )

    @pytest.mark.parametrize("status", [400, 403, 500])
    def test_the_service_s_message_has_no_secrets(
        self, status: int, service: Service, client: ApiClient
    ) -> None:
        service.says(answer({"Message": f"{SID} may not come in with {TOKEN}"}, status))
        output = self.output_of(lambda: client.json(PATH, {"X-Signature": "abc"}))
        assert "may not come in" in output
        assert not [secret for secret in (SID, TOKEN, "X-Signature", "abc") if secret in output]

    def test_a_secret_that_is_cut_is_no_secret_less(
        self, service: Service, client: ApiClient
    ) -> None:
        for length in range(280, 300):
            service.says(answer({"Message": "x" * length + TOKEN}, 400))
            assert TOKEN[:4] not in self.output_of(lambda: client.json(PATH))

    @pytest.mark.parametrize(
        "echo",
        [
            f"Authorization: Basic {BASIC}",
            "see https://storage.example.com/file?X-Signature=abcdef&Expires=1",
        ],
    )
    def test_an_echo_of_the_service_has_no_secrets(
        self, echo: str, service: Service, client: ApiClient
    ) -> None:
        service.says(answer({"Message": echo}, 400))
        output = self.output_of(lambda: client.json(PATH))
        assert BASIC not in output
        assert "abcdef" not in output

    def test_a_signed_link_is_not_logged_at_any_level(
        self, service: Service, client: ApiClient, tmp_path: Path
    ) -> None:
        service.says(moved(f"{service.storage.url}/file?X-Signature=abcdef"))
        service.stores(RESET, html(500), Response(403, b"no"), CUT, html(404))
        output = self.output_of(lambda: client.download(PATH, tmp_path / "file"))
        assert "X-Signature" not in output
        assert "abcdef" not in output
        assert SID not in output

    def test_the_client_does_not_show_its_secrets(self, client: ApiClient) -> None:
        assert TOKEN not in repr(client)


def test_every_request_has_time_outs() -> None:
    assert 0 < Timeouts().connect <= 60
    assert 0 < Timeouts().read <= 300
    assert tap_http.ATTEMPTS > 1
