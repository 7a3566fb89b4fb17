"""The decoder: messages of a source in, native events out, and why a document became none.

What it says of a bad document names fields and places, never what stands there.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import orjson

from pivotwatch.contracts.events import BadEvent, check_event
from pivotwatch.ingest.documents import Unreadable, splitter
from pivotwatch.ingest.mapping import Place, SourceMapping, find, show_pointer
from pivotwatch.ingest.network_lookup import NetworkLookup
from pivotwatch.ingest.private import NAME
from pivotwatch.ingest.pseudonyms import Pseudonyms

Event = dict[str, Any]
MAX_MISREAD = 1_000
"""Of one message; a dead letter each."""


@dataclasses.dataclass(frozen=True, slots=True)
class Misread:
    """A document that could not be read.

    Attributes
    ----------
    position
        Its place in the message, from 0.
    document
        As it was; None when there was none.
    raw
        What there was instead of a document.
    """

    position: int
    error: BadEvent
    document: Any
    raw: bytes = b""


@dataclasses.dataclass(slots=True)
class Decoded:
    """What became of a message.

    Attributes
    ----------
    events
        With the position of the document that each was read from. The same message gives the
        same events at the same positions, always.
    misread, bad
        Documents that could not be read, and how many they are: only the first `MAX_MISREAD` are
        listed one by one.
    skipped
        Documents that are no requests, and repeats within the message.
    cut
        Is there more in the message than was asked for?
    """

    events: list[tuple[int, Event]] = dataclasses.field(default_factory=list)
    misread: list[Misread] = dataclasses.field(default_factory=list)
    bad: int = 0
    skipped: int = 0
    cut: bool = False

    def add_misread(self, misread: Misread) -> None:
        """Keep what could not be read; of very many in one message, say only how many they are."""
        self.bad += 1
        if self.bad <= MAX_MISREAD:
            self.misread.append(misread)
        else:
            more = BadEvent(f"and {self.bad - MAX_MISREAD} more from here on in the same message")
            first = self.misread[-1].position if self.bad > MAX_MISREAD + 1 else misread.position
            self.misread[MAX_MISREAD:] = [Misread(first, more, None)]


class Decoder:
    """Reads the messages of one source.

    Parameters
    ----------
    mapping
        Where everything stands.
    networks
        Finds the network of an address; made without a database when left out.
    pseudonyms
        Replaces values, or None.

    Examples
    --------
    >>> from pivotwatch.ingest.mapping import SourceMapping, load_file
    >>> decoder = Decoder(SourceMapping("native", load_file("native")))
    >>> raw = b'{"id":"r","ts":1,"account":"a","model":"m-2","ip":"203.0.113.7","prompt":"hello"}'
    >>> decoder.decode(raw).events
    [(0, {'id': 'r', 'ts': 1, 'account': 'a', 'model': 'm-2', 'network': '203.0.113.0/24'})]
    >>> decoder.decode(b'{"id":"r","ts":1,"model":"m-2"}').misread[0].error
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
        self._once = mapping.form != "json"  # Spans of one call may tell of it twice.
        self._required = {"ts", "account", "model"} | (set() if mapping.make_id else {"id"})
        self._split = splitter(mapping.form, mapping.wanted_attributes())

    def decode(self, message: bytes | None, most: int | None = None) -> Decoded:
        """Read a message, or of a long one the first ``most`` documents."""
        decoded = Decoded()
        ids: set[str] = set()
        for position, document in enumerate(self._split(message or b"")):
            if position == most:
                decoded.cut = True
                break
            try:
                event = self.read(document)
            except BadEvent as error:
                if isinstance(document, Unreadable):
                    decoded.add_misread(Misread(position, error, None, document.raw))
                else:
                    decoded.add_misread(Misread(position, error, document))
                continue
            if event is None or (self._once and event["id"] in ids):
                decoded.skipped += 1
                continue
            ids.add(event["id"])
            decoded.events.append((position, event))
        return decoded

    def read(self, document: Any, used: dict[str, Place] | None = None) -> Event | None:
        """The event of a document, None when it is no request; ``used`` learns from where.

        Raises
        ------
        BadEvent
            When it is a request that cannot be read.
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
            value, path, trouble = reader.read(document)
            if path is not None:
                event[reader.name] = value
                if used is not None:
                    used[reader.name] = path
            elif reader.name in self._required:
                places = ", ".join(map(show_pointer, reader.paths))
                raise BadEvent(f"{reader.name}: {trouble or f'nothing at {places}'}")
        self._finish(event, self._links(document, used))
        return event

    def _links(self, document: Any, used: dict[str, Place] | None) -> dict[str, str]:
        links: dict[str, str] = {}
        for path in self.mapping.link_paths:
            found = find(document, path)
            for kind, value in found.items() if type(found) is dict else ():
                if value is None:
                    continue
                if not NAME.fullmatch(kind):  # Whoever wrote it may have put anything there.
                    raise BadEvent(
                        f"links: expected kinds made of letters, digits and _.:/-, at {show_pointer(path)}"
                    )
                try:
                    links[kind] = self.mapping.link_convert(kind, value)
                except ValueError as error:
                    raise BadEvent(f"links: {error}, at {show_pointer(path)}") from None
                if used is not None:
                    used[f"links.{kind}"] = (*path, kind)
        for kind, reader in self.mapping.links:
            value, place, _ = reader.read(document)
            if place is not None:
                links[kind] = value
                if used is not None:
                    used[f"links.{kind}"] = place
        return links

    def _finish(self, event: Event, links: dict[str, str]) -> None:
        """Network, then pseudonyms: the other way round there would be no address to look up."""
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
            # After the pseudonyms: nobody may find out an account by trying.
            event["id"] = hashlib.blake2b(
                orjson.dumps(event, option=orjson.OPT_SORT_KEYS), digest_size=12
            ).hexdigest()
        try:
            check_event(event)
        except BadEvent as error:
            raise BadEvent(str(error).partition(", got ")[0]) from None
