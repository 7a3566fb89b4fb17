"""What a message of a source holds: events, bad documents, and the number of all others."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any, get_args

from pivotwatch.contracts.events import BadEvent
from pivotwatch.ingest.mapping import FieldName
from pivotwatch.ingest.request_identity import Identity

Event = dict[str, Any]
Result = Event | str | BadEvent
"""What a document gives: an event, why it gives none, or why it is bad."""
REPEATED = "reported before"
MAX_BAD = 1_000
"""Bad documents of one message that become dead letters; further ones share one."""
OTHER = "other"
_REASONS = frozenset({*get_args(FieldName), "links", "not JSON", "empty"})


@dataclasses.dataclass(frozen=True, slots=True)
class BadDocument:
    """A document that could not be read.

    Attributes
    ----------
    position
        Position in the message, from 0.
    error
        Why the document could not be read.
    document
        The document, or None when its text could not be parsed.
    raw
        The text that could not be parsed.
    """

    position: int
    error: BadEvent
    document: Any
    raw: bytes = b""


@dataclasses.dataclass(slots=True)
class Decoded:
    """The content of a message.

    Attributes
    ----------
    events
        Each event with the position of its document in the message. The same message always gives the
        same events at the same positions.
    identities
        How each of the events is recognised in another report of its request; empty for sources whose
        records have no id of the call.
    bad, bad_total
        Documents that could not be read, and their number. Only the first `MAX_BAD` have an entry each;
        one further entry counts the rest.
    no_requests
        Number of documents that are not requests, by reason.
    repeats
        Number of documents that report a request again.
    group_accounts
        Number of documents whose account is a group of users, because they name no user.
    truncated
        Whether the message holds more documents than were asked for.
    """

    events: list[tuple[int, Event]] = dataclasses.field(default_factory=list)
    identities: list[Identity] = dataclasses.field(default_factory=list)
    bad: list[BadDocument] = dataclasses.field(default_factory=list)
    bad_total: int = 0
    no_requests: dict[str, int] = dataclasses.field(default_factory=dict)
    repeats: int = 0
    group_accounts: int = 0
    truncated: bool = False

    @property
    def skipped(self) -> int:
        """Number of documents that give no event although they can be read."""
        return self.repeats + sum(self.no_requests.values())

    @property
    def holds_no_document(self) -> bool:
        """Whether not one document of the message could be parsed."""
        return not (self.events or self.skipped) and all(one.document is None for one in self.bad)

    def bad_reasons(self) -> Counter[str]:
        """Number of bad documents by reason: the field, or another word of a small set.

        Examples
        --------
        >>> decoded = Decoded()
        >>> decoded.add_bad(BadDocument(0, BadEvent("ts: expected a time"), {}))
        >>> decoded.add_bad(BadDocument(1, BadEvent("expected a JSON object"), 7))
        >>> dict(decoded.bad_reasons())
        {'ts': 1, 'other': 1}
        """
        found = (str(one.error).partition(":")[0] for one in self.bad[:MAX_BAD])
        reasons = Counter(reason if reason in _REASONS else OTHER for reason in found)
        if self.bad_total > MAX_BAD:
            reasons[OTHER] += self.bad_total - MAX_BAD
        return reasons

    def add_no_request(self, reason: str) -> None:
        """Count a document that is not a request."""
        self.no_requests[reason] = self.no_requests.get(reason, 0) + 1

    def add_bad(self, document: BadDocument) -> None:
        """Add a document that could not be read. Beyond `MAX_BAD` documents, only count it."""
        self.bad_total += 1
        if self.bad_total <= MAX_BAD:
            self.bad.append(document)
        else:
            more = BadEvent(f"and {self.bad_total - MAX_BAD} more from here on in the same message")
            first = self.bad[-1].position if self.bad_total > MAX_BAD + 1 else document.position
            self.bad[MAX_BAD:] = [BadDocument(first, more, None)]
