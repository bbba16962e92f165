"""The errors that this tap expects; each is reported as one line.

TapError
├── SettingsError             a setting is wrong; the line names it
├── ApiError                  the service answered with an error
│   ├── Unauthorized          401: the credentials are wrong; ends all streams of the source
│   ├── Forbidden             403: the token lacks a scope
│   ├── NotFound              404, 410: no such report or job, or it was deleted
│   ├── Rejected              any other refusal, including HTTP 200 with "Status": "ERROR"
│   ├── RateLimited           429, with a pause beyond max_wait_seconds or after the last retry
│   └── Unavailable           5xx, time-outs and resets, after the last retry
├── ExportError               the job for one window did not succeed
│   ├── ExportFailed          FAILED or CANCELLED, also when replayed
│   ├── ExportTimedOut        not finished within job_timeout_seconds
│   └── UnknownJobState       a state that is not in the source's table
├── FileError                 a result file that can't be used
│   ├── DamagedFile           cut short, unreadable or another file: downloading again may help
│   └── KeyViolation          user-set primary_keys are null or not unique in a window
├── StreamError               a stream can't be synced with this state or catalog
├── LoaderGone                the loader closed the pipe; ends the run
└── SyncFailed                one or more streams failed; the others finished
"""

from __future__ import annotations


class TapError(Exception):
    """Any error that is reported as one line, without a traceback."""


class SettingsError(TapError):
    """Raised when a setting is missing, malformed or names something that does not exist."""


class ApiError(TapError):
    """Raised when the service answers a request with an error."""


class Unauthorized(ApiError):
    """Raised on 401; no other request of this source can succeed."""


class Forbidden(ApiError):
    """Raised on 403; other endpoints may still work with the same token."""


class NotFound(ApiError):
    """Raised on 404 and 410."""


class Rejected(ApiError):
    """Raised on any other 4xx, and on HTTP 200 whose body is an error document."""


class RateLimited(ApiError):
    """Raised on 429 when the pause exceeds max_wait_seconds, or after the last retry.

    `retry_after` is the pause that the service requested, in seconds; None if it requested none.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ApiError):
    """Raised when 5xx answers, time-outs or resets outlast the retries."""


class ExportError(TapError):
    """Raised when the job of one window did not return a file."""


class ExportFailed(ExportError):
    """Raised when a job failed and its replays failed too."""


class ExportTimedOut(ExportError):
    """Raised when a job is not finished within job_timeout_seconds."""


class UnknownJobState(ExportError):
    """Raised when a job's state is not in the source's table."""


class FileError(TapError):
    """Raised when a result file can't be used."""


class DamagedFile(FileError):
    """Raised when a file is cut short, unreadable or another one; downloading again may help."""


class KeyViolation(FileError):
    """Raised when user-set primary_keys are null or repeat within one window."""


class StreamError(TapError):
    """Raised when a stream can't be synced with the given state or catalog."""


class LoaderGone(TapError):
    """Raised when the loader closed the pipe, so that stdout can't be written."""


class SyncFailed(TapError):
    """Raised at the end of a sync in which at least one stream failed."""


# Any other error ends only one stream or one source; the others continue.
ENDS_THE_RUN = (SettingsError, LoaderGone)
