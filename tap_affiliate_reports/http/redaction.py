"""Removes secrets from texts that are logged or raised."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tap_affiliate_reports.http.auth import same_origin
from tap_affiliate_reports.http.documents import one_line

MAX_MESSAGE = 300
"""The longest message of a service that is logged or raised, in characters."""


@dataclass(frozen=True)
class Redaction:
    """The secrets of one client; each is replaced by `***`."""

    base_url: str
    secrets: tuple[str, ...] = field(repr=False)

    def url(self, url: str) -> str:
        """Return a URL fit for a log: no query, no user, and no secret in its path."""
        parts = urlsplit(url)
        if same_origin(url, self.base_url):
            return self.text(parts.path)
        return self.text(f"{parts.scheme}://{parts.hostname or ''}/...")

    def text(self, text: str) -> str:
        """Return the text without secrets, credentials in headers and queries of URLs."""
        for secret in self.secrets:
            if secret:
                text = text.replace(secret, "***")
        text = re.sub(r"(Authorization\W+\w+\s+)\S+", r"\1***", text)
        return re.sub(r"(\b\w{1,12}://[^\s?\"'<>]+)\?[^\s\"'<>]*", r"\1?***", text)

    def message(self, message: str) -> str:
        """Return a service's message fit for a log: one line, no secrets, not too long."""
        # Secrets are removed before the text is cut, because half a secret is not recognized.
        return self.text(one_line(message[: 100 * MAX_MESSAGE]))[:MAX_MESSAGE]
