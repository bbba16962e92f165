"""The Singer STATE of this tap: every key, and the classes that read and write it.

Meltano deep-merges a STATE onto an older one after a full refresh: objects never lose a key, lists
and other values are replaced. So the absence of a key has no meaning: within a stream's object
every collection is a list, and every key is always written.

A report (`StreamState`):

    {"form": 2,
     "fingerprint": "{...}",                 # the settings that define a window, as JSON text
     "columns": [["Payout", "decimal"]],     # the type of each column, as first loaded
     "version": 1763564400000,               # the `version` of the records, or null
     "version_pending": false,               # ACTIVATE_VERSION has not been sent yet
     "reload": null,                         # the unfinished reload: "all", "START/END" or null
     "replication_key": "_window_end",       # or null where there are no dates
     "replication_key_value": "2026-10-31",  # the last complete day, or null
     "windows": [
       {"slot": "2026-10-01",                # first day of the calendar slot
        "start": "2026-10-01", "end": "2026-10-31",  # the days requested, inclusive
        "rows": 120,                         # rows in the warehouse, an upper bound if unfinished
        "refreshed_at": "2026-11-02T03:04:05Z",      # when the newest file was finished, or null
        "job": "b2345...",                   # the job to replay, or ""
        "unfinished": false,                 # a load has begun and not finished
        "reload_after": null,                # the next file must be finished after this moment
        "content": "9f2c...",                # a digest of what was loaded; null once settled
        "loaded_at": null}],                 # the loaded file's date, if a newer one is identical
     "former": [                             # windows of old settings whose rows are still live
       {"account": "...", "program": "all", "slot": "2026-07-01", "start": "2026-07-01",
        "end": "2026-09-30", "rows": 300, "keys": null, "retire_first": false}],
     "partitions": [                         # one for each program, instead of `windows`
       {"context": {"_program_id": "10211"}, "replication_key": "_window_end",
        "replication_key_value": "2026-10-31", "windows": []}]}

A stream of finished files (`FileLedger`) has form, columns, reload and the bookmark, and:

    {"loaded": [["1794877200", "2026-11-17T01:01:00Z"]],  # ids near the bookmark; null if unknown
     "start": "2026-09-10T00:00:00Z",        # all files from then to the bookmark are loaded
     "reload_from": null, "reload_until": null,           # files finished between are loaded again
     "reloaded": [],                         # the ids of those that were loaded again
     "old_account": null}                    # the `_account` of rows of version 0.1.0, or null

A list (`ListState`) has form, reload and the bookmark.

The form of version 0.1.0 is also read (`version_0_1`), and replaced at a stream's first sync.
"""

from __future__ import annotations

from tap_affiliate_reports.state.check import check
from tap_affiliate_reports.state.files import FileLedger
from tap_affiliate_reports.state.ledger import Ledger
from tap_affiliate_reports.state.lists import ListState
from tap_affiliate_reports.state.stream_state import StreamState, column_kinds
from tap_affiliate_reports.state.timestamps import from_timestamp, to_timestamp

__all__ = [
    "FileLedger",
    "Ledger",
    "ListState",
    "StreamState",
    "check",
    "column_kinds",
    "from_timestamp",
    "to_timestamp",
]
