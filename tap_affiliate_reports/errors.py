"""The errors this tap expects; each prints as one clear line.

TapError
├── SettingsError             a setting is wrong; the line names it
├── ApiError                  the service answered with an error
│   ├── Unauthorized          401: the credentials are bad; ends all streams of the source
│   ├── Forbidden             403: the token lacks a scope
│   ├── NotFound              404, 410: no such report or job, or it is gone
│   ├── Rejected              any other refusal, HTTP 200 with "Status": "ERROR" included
│   ├── RateLimited           429 that asks for a longer wait than max_wait_seconds
│   └── Unavailable           5xx, time-outs and resets, after the last retry
├── ExportError               the job for one window did not end well
│   ├── ExportFailed          FAILED, CANCELLED, also when replayed
│   ├── ExportTimedOut        not done within job_timeout_seconds
│   └── UnknownJobState       a state word that the source's table does not have
├── FileError                 a result file that can't be taken
│   ├── DamagedFile           cut short, alien or unreadable: downloading again may help
│   └── KeyViolation          user-set primary_keys are null or not unique in a window
├── StreamError               a stream can't be synced with this state or catalog
├── LoaderGone                the loader closed the pipe; ends the run
└── SyncFailed                one or more streams failed; the others finished
"""

from __future__ import annotations


class TapError(Exception):
    """Any error that is reported as one line, without a traceback."""


class SettingsError(TapError):
    """Raised when a setting is missing, malformed or names something that is not there."""


class ApiError(TapError):
    """Raised when the service answers a request with an error."""


class Unauthorized(ApiError):
    """Raised on 401; no other request of this source can succeed."""


class Forbidden(ApiError):
    """Raised on 403; other endpoints may still work with the same token."""


class NotFound(ApiError):
    """Raised on 404 and 410."""


class Rejected(ApiError):
    """Raised on any other 4xx, and on HTTP 200 whose body says ERROR."""


class RateLimited(ApiError):
    """Raised when the service asks for a longer pause than max_wait_seconds.

    `retry_after` is the pause asked for, in seconds; None where the service named none.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ApiError):
    """Raised when 5xx answers, time-outs or resets outlast the retries."""


class ExportError(TapError):
    """Raised when the job of one window did not give a file."""


class ExportFailed(ExportError):
    """Raised when a job failed and its replays failed too."""


class ExportTimedOut(ExportError):
    """Raised when a job is not done within job_timeout_seconds."""


class UnknownJobState(ExportError):
    """Raised when a job's state word is not in the source's table."""


class FileError(TapError):
    """Raised when a result file can't be taken as it is."""


class DamagedFile(FileError):
    """Raised when a file is cut short, alien or unreadable; downloading it again may help."""


class KeyViolation(FileError):
    """Raised when user-set primary_keys are null or repeat within one window."""


class StreamError(TapError):
    """Raised when a stream can't be synced with the state or catalog at hand."""


class LoaderGone(TapError):
    """Raised when stdout can't be written any more."""


class SyncFailed(TapError):
    """Raised at the end of a sync in which at least one stream failed."""


# Any other error is that of one stream, or of one source, and the others finish.
ENDS_THE_RUN = (SettingsError, LoaderGone)
