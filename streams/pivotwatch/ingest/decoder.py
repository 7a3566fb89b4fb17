"""The decoder: converts the messages of a source to native events.

Its errors name fields and places of a document, and never contain a value of the document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from pivotwatch.contracts.events import BadEvent, check_event
from pivotwatch.ingest.decoded import REPEATED, BadDocument, Decoded, Event, Result
from pivotwatch.ingest.documents import changed_row, inside_envelope, splitter
from pivotwatch.ingest.lenient_json import Unreadable
from pivotwatch.ingest.mapping import SourceMapping
from pivotwatch.ingest.nested_spans import innermost_first, outer_requests
from pivotwatch.ingest.network_lookup import NetworkLookup
from pivotwatch.ingest.pointers import FieldPath, find, to_pointer
from pivotwatch.ingest.private import NAME
from pivotwatch.ingest.pseudonyms import Pseudonyms
from pivotwatch.ingest.request_identity import (
    Identity,
    Report,
    SeenRequests,
    are_nested_requests,
    record_identity,
    report_of,
    span_identity,
)
from pivotwatch_models.method import STATE

DELETED = "a row that was deleted"
IN_FUTURE = (
    f"ts: more than {STATE.membership.future_ms // 60_000} min in the future; check the clock of its sender"
)


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
        self._group_accounts = 0
        self._has_spans = mapping.form != "json"
        self._finds_repeats = self._has_spans or mapping.has_calls
        self._required = {"ts", "account", "model"} | (set() if mapping.make_id else {"id"})
        self._split = splitter(mapping.form, mapping.wanted_attributes())

    def decode(
        self,
        message: bytes | None,
        most: int | None = None,
        latest: int | None = None,
        seen: SeenRequests[bool] | None = None,
    ) -> Decoded:
        """Decode a message.

        Parameters
        ----------
        most
            Decode only the first ``most`` documents.
        latest
            Events after this time (epoch milliseconds) are bad, as counting refuses them.
        seen
            Requests of earlier messages. Without it, only repeats within the message are found.
        """
        decoded, group_accounts = Decoded(), self._group_accounts
        documents: Iterable[Any] = self._split(message or b"")
        if most is not None:
            documents = self._first(documents, most, decoded)
        known = (SeenRequests() if seen is None else seen) if self._finds_repeats else None
        if self._has_spans:
            results = self._read_spans(list(documents), latest)
        else:
            results = (
                (position, document, self._result(document, latest))
                for position, document in enumerate(documents)
            )
        for position, document, result in results:
            if isinstance(result, BadEvent):
                is_text = isinstance(document, Unreadable)
                raw = document.raw if is_text else b"null" if document is None else b""
                decoded.add_bad(BadDocument(position, result, None if is_text else document, raw))
            elif isinstance(result, str):
                if result == REPEATED:
                    decoded.repeats += 1
                else:
                    decoded.add_no_request(result)
            else:
                if known is not None:
                    identity = self._identity(result, document)
                    if known.find(identity):
                        decoded.repeats += 1
                        continue
                    known.add(identity, True)
                    decoded.identities.append(identity)
                decoded.events.append((position, result))
        decoded.group_accounts = self._group_accounts - group_accounts
        return decoded

    @staticmethod
    def _first(documents: Iterable[Any], most: int, decoded: Decoded) -> Iterator[Any]:
        """The first documents; says in ``decoded`` whether there are more."""
        for position, document in enumerate(documents):
            if position == most:
                decoded.truncated = True
                return
            yield document

    def _read_spans(self, spans: list[Any], latest: int | None) -> Iterator[tuple[int, Any, Result]]:
        """The result of each span. Of requests within each other, the innermost readable one counts."""
        rules = self.mapping.rules
        results: dict[int, Result] = {}
        requests = []
        for position, span in enumerate(spans):
            if type(span) is dict and not (reason := rules.reason(span)):
                requests.append(position)
            else:
                results[position] = self._result(span, latest) if type(span) is not dict else reason
        outer = outer_requests(spans, requests, rules.names_other_kind) if len(requests) > 1 else {}
        inner: dict[int, list[Report]] = {}
        order = innermost_first(requests, outer) if outer else requests
        for position in order:
            result: Result = self._checked(spans[position], latest)
            around = outer.get(position)
            reports = inner.get(position, [])
            if isinstance(result, BadEvent):
                if reports:
                    result = REPEATED
            elif isinstance(result, dict):
                report = report_of(result, self.mapping.call_of(spans[position]))
                if any(are_nested_requests(one, report) for one in reports):
                    result = REPEATED
                reports = [*reports, report]
            if around is not None:
                inner.setdefault(around, []).extend(reports)
            results[position] = result
        for position, around in outer.items():
            # The span around a bad one may report the same request with all that is needed.
            if isinstance(results[position], BadEvent) and isinstance(results[around], dict):
                results[position] = REPEATED
        for position, span in enumerate(spans):
            yield position, span, results[position]

    def _result(self, document: Any, latest: int | None) -> Result:
        """The event of a document, why it is not a request, or why it is bad."""
        if (error := _no_object(document)) is not None:
            return error
        result = self.mapping.rules.reason(document) or self._checked(document, latest)
        if isinstance(result, dict):
            return result
        if changed_row(document) == {}:
            return DELETED
        if (inner := inside_envelope(document)) is not None:
            found = self.mapping.rules.reason(inner) or self._checked(inner, latest)
            return found if isinstance(found, dict) else result
        return result

    def _checked(self, document: dict[str, Any], latest: int | None) -> Event | BadEvent:
        try:
            event = self._event(document)
            if latest is not None and event["ts"] > latest:
                raise BadEvent(IN_FUTURE)
        except BadEvent as error:
            return error
        return event

    def _identity(self, event: Event, document: dict[str, Any]) -> Identity:
        call = self.mapping.call_of(document)
        return span_identity(event, call, document) if self._has_spans else record_identity(event, call)

    def read(self, document: Any, used: dict[str, FieldPath] | None = None) -> Event | str:
        """The event of a document, or why the document is not a request.

        Parameters
        ----------
        used
            Gets the path of each field that was read.

        Raises
        ------
        BadEvent
            When the document is a request that cannot be read.
        """
        if (error := _no_object(document)) is not None:
            raise error
        reason = self.mapping.rules.reason(document)
        try:
            if not reason:
                return self._event(document, used)
        except BadEvent:
            if changed_row(document) == {}:
                return DELETED
            if (inner := inside_envelope(document)) is None:
                raise
        else:
            inner = inside_envelope(document)
        if inner is None:
            return reason
        if used is not None:
            used.clear()
        return self.mapping.rules.reason(inner) or self._event(inner, used)

    def _event(self, document: dict[str, Any], used: dict[str, FieldPath] | None = None) -> Event:
        """The event of a document that is a request."""
        event: Event = {}
        required, get = self._required, document.get
        for reader in self.mapping.readers:
            if reader.key is not None:
                plain = get(reader.key)
                if plain is None and reader.name not in required:
                    continue
                # The usual value is converted here; `read` says what is wrong with any other one.
                if type(plain) is str and plain and plain not in reader.absent:
                    try:
                        event[reader.name] = reader.value_of(plain)
                    except ValueError:
                        pass
                    else:
                        if used is not None:
                            used[reader.name] = reader.paths[0]
                        continue
            value, path, problem = reader.read(document)
            if path is not None:
                event[reader.name] = value
                if reader.groups and path in reader.groups:
                    self._group_accounts += 1
                if used is not None:
                    used[reader.name] = path
            elif reader.name in required:
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


def _no_object(document: Any) -> BadEvent | None:
    """Why a document is not a JSON object; None when it is one."""
    if isinstance(document, Unreadable):
        return BadEvent(str(document))
    return None if type(document) is dict else BadEvent("expected a JSON object")
