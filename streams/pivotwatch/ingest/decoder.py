"""The decoder: converts the messages of a source to native events.

Its errors name fields and places of a document, and never contain a value of the document.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import orjson

from pivotwatch.contracts.events import BadEvent, check_event
from pivotwatch.ingest.documents import Unreadable, splitter
from pivotwatch.ingest.mapping import FieldPath, SourceMapping, find, to_pointer
from pivotwatch.ingest.network_lookup import NetworkLookup
from pivotwatch.ingest.private import NAME
from pivotwatch.ingest.pseudonyms import Pseudonyms
from pivotwatch_models.method import STATE

Event = dict[str, Any]
MAX_BAD = 1_000
"""Bad documents of one message that become dead letters; further ones share one."""


IN_FUTURE = (
    f"ts: more than {STATE.membership.future_ms // 60_000} min in the future; check the clock of its sender"
)


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
    bad, bad_total
        Documents that could not be read, and their number. Only the first `MAX_BAD` have an entry each;
        one further entry counts the rest.
    skipped
        Number of documents that are no requests, and of repeats within the message.
    truncated
        Whether the message holds more documents than were asked for.
    """

    events: list[tuple[int, Event]] = dataclasses.field(default_factory=list)
    bad: list[BadDocument] = dataclasses.field(default_factory=list)
    bad_total: int = 0
    skipped: int = 0
    truncated: bool = False

    def add_bad(self, document: BadDocument) -> None:
        """Add a document that could not be read. Beyond `MAX_BAD` documents, only count it."""
        self.bad_total += 1
        if self.bad_total <= MAX_BAD:
            self.bad.append(document)
        else:
            more = BadEvent(f"and {self.bad_total - MAX_BAD} more from here on in the same message")
            first = self.bad[-1].position if self.bad_total > MAX_BAD + 1 else document.position
            self.bad[MAX_BAD:] = [BadDocument(first, more, None)]


class Decoder:
    """Reads the messages of one source.

    Parameters
    ----------
    mapping
        The mapping of the source.
    networks
        Finds the network of an address; without it, a lookup without a database.
    pseudonyms
        Replaces values by pseudonyms; without it, values stay.

    Examples
    --------
    >>> from pivotwatch.ingest.mapping import SourceMapping, load_file
    >>> decoder = Decoder(SourceMapping("native", load_file("native")))
    >>> raw = b'{"id":"r","ts":1,"account":"a","model":"m-2","ip":"203.0.113.7","prompt":"hello"}'
    >>> decoder.decode(raw).events
    [(0, {'id': 'r', 'ts': 1, 'account': 'a', 'model': 'm-2', 'network': '203.0.113.0/24'})]
    >>> decoder.decode(b'{"id":"r","ts":1,"model":"m-2"}').bad[0].error
    BadEvent('account: nothing at /account')
    """

    def __init__(
        self,
        mapping: SourceMapping,
        networks: NetworkLookup | None = None,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self.mapping = mapping
        self._networks = networks or NetworkLookup()
        self._pseudonyms = pseudonyms
        self._unique_ids = mapping.form != "json"  # Several spans may report the same call.
        self._required = {"ts", "account", "model"} | (set() if mapping.make_id else {"id"})
        self._split = splitter(mapping.form, mapping.wanted_attributes())

    def decode(self, message: bytes | None, most: int | None = None, latest: int | None = None) -> Decoded:
        """Decode a message.

        Parameters
        ----------
        most
            Decode only the first ``most`` documents.
        latest
            Events after this time (epoch milliseconds) are bad, as counting refuses them.
        """
        decoded = Decoded()
        ids: set[str] = set()
        for position, document in enumerate(self._split(message or b"")):
            if position == most:
                decoded.truncated = True
                break
            try:
                event = self.read(document)
                if event is not None and latest is not None and event["ts"] > latest:
                    raise BadEvent(IN_FUTURE)
            except BadEvent as error:
                if isinstance(document, Unreadable):
                    decoded.add_bad(BadDocument(position, error, None, document.raw))
                else:
                    decoded.add_bad(BadDocument(position, error, document))
                continue
            if event is None or (self._unique_ids and event["id"] in ids):
                decoded.skipped += 1
                continue
            ids.add(event["id"])
            decoded.events.append((position, event))
        return decoded

    def read(self, document: Any, used: dict[str, FieldPath] | None = None) -> Event | None:
        """The event of a document, or None when the document is no request.

        Parameters
        ----------
        used
            Gets the path of each field that was read.

        Raises
        ------
        BadEvent
            When the document is a request that cannot be read.
        """
        if isinstance(document, Unreadable):
            raise BadEvent(str(document))
        if type(document) is not dict:
            raise BadEvent("expected a JSON object")
        mapping = self.mapping
        if mapping.skips(document):
            return None
        event: Event = {}
        for reader in mapping.readers:
            value, path, problem = reader.read(document)
            if path is not None:
                event[reader.name] = value
                if used is not None:
                    used[reader.name] = path
            elif reader.name in self._required:
                pointers = ", ".join(map(to_pointer, reader.paths))
                raise BadEvent(f"{reader.name}: {problem or f'nothing at {pointers}'}")
        self._finish(event, self._links(document, used))
        return event

    def _links(self, document: Any, used: dict[str, FieldPath] | None) -> dict[str, str]:
        links: dict[str, str] = {}
        for path in self.mapping.link_paths:
            found = find(document, path)
            for kind, value in found.items() if type(found) is dict else ():
                if value is None:
                    continue
                if not NAME.fullmatch(kind):  # The name comes from the source and may hold anything.
                    raise BadEvent(
                        f"links: expected kinds made of letters, digits and _.:/-, at {to_pointer(path)}"
                    )
                try:
                    links[kind] = self.mapping.link_convert(kind, value)
                except ValueError as error:
                    raise BadEvent(f"links: {error}, at {to_pointer(path)}") from None
                if used is not None:
                    used[f"links.{kind}"] = (*path, kind)
        for kind, reader in self.mapping.links:
            value, found_at, _ = reader.read(document)
            if found_at is not None:
                links[kind] = value
                if used is not None:
                    used[f"links.{kind}"] = found_at
        return links

    def _finish(self, event: Event, links: dict[str, str]) -> None:
        """Add network, links and id to an event, replace values by pseudonyms, and check the event."""
        ip, forwarded = event.pop("ip", None), event.pop("forwarded", None)
        if not event.get("network"):
            network = self._networks.find(ip, forwarded)
            if network is not None:
                event["network"] = network
        if links:
            event["links"] = links
        if self._pseudonyms is not None:
            self._pseudonyms.replace(event)
        if "id" not in event:
            # Made from the pseudonyms, so that nobody can find an account by trying ids.
            event["id"] = hashlib.blake2b(
                orjson.dumps(event, option=orjson.OPT_SORT_KEYS), digest_size=12
            ).hexdigest()
        try:
            check_event(event)
        except BadEvent as error:
            raise BadEvent(str(error).partition(", got ")[0]) from None
