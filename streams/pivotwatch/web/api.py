"""The JSON interface: incidents, releases, decisions, and server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from aiohttp import web
from aiohttp_sse import EventSourceResponse

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.contracts.codec import encode
from pivotwatch.engine.http.browser_origin import has_foreign_site
from pivotwatch.web import event_cursor
from pivotwatch.web.authentication import FORM_FIELD, User
from pivotwatch.web.pages import USER, Pages
from pivotwatch.web.read_model import Decision, Entry, Incident
from pivotwatch_models.incidents.terms import SEVERITIES

MOST = 1_000
RETRY_MS = 1_000
PING_SECONDS = 15.0
SEND_BUFFER = 128 * 1024
"""Bytes that the kernel keeps for a client that does not read; in this process it is a batch of events."""
STREAM_SECONDS = 3600.0
"""Length of an event stream. Then the client reconnects, without loss, and authenticates again."""


class Api:
    """Serves the JSON interface of the pages."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.read_model = pages.views.read_model
        self.streams: Counter[str] = Counter()

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/api/v1/incidents", self.incidents)
        app.router.add_get("/api/v1/incidents/{id}", self.incident)
        app.router.add_post("/api/v1/incidents/{id}/decisions", self.decide)
        app.router.add_get("/api/v1/decisions", self.decisions)
        app.router.add_get("/api/v1/releases", self.releases)
        app.router.add_get("/api/v1/events", self.events)
        app.router.add_route("*", "/api/{rest:.*}", self.nothing)

    async def nothing(self, _: web.Request) -> web.Response:
        """Answer 404 for every other path."""
        raise web.HTTPNotFound(text="no such resource: see streams/pivotwatch/web/README.md")

    async def incidents(self, request: web.Request) -> web.Response:
        """Incidents, the most severe first."""
        await self.pages.known()
        state, least = request.query.get("state", "open"), request.query.get("min_severity", "info")
        limit, offset = _number(request, "limit", 100), _number(request, "offset", 0)
        if state not in ("open", "ended", "all") or least not in SEVERITIES or not 1 <= limit <= MOST:
            raise web.HTTPBadRequest(
                text=f"expected state=open|ended|all, min_severity={'|'.join(SEVERITIES)}, limit=1…{MOST}"
            )
        found = [
            one
            for one in self.read_model.shown()
            if (state == "all" or one.is_open == (state == "open"))
            and SEVERITIES.index(one.data.severity) >= SEVERITIES.index(least)
        ]
        part = [self._short(one) for one in found[offset : offset + limit]]
        return answer(total=len(found), offset=offset, incidents=part)

    async def incident(self, request: web.Request) -> web.Response:
        """One incident: the newest alert as it was sent, its revisions, its decisions and their history."""
        incident = await self.pages.find(request)
        return answer(
            incident=parse_alert(incident.raw).data,
            revisions=list(incident.revisions),
            decisions=[_written(one) for one in self.read_model.about(incident)],
            history=[entry_fields(one) for one in self.read_model.history(incident)],
        )

    async def decisions(self, request: web.Request) -> web.Response:
        """Every decision with what ended it, the newest first."""
        await self.pages.known()
        limit, offset = _number(request, "limit", 100), _number(request, "offset", 0)
        if not 1 <= limit <= MOST:
            raise web.HTTPBadRequest(text=f"limit: expected 1 to {MOST}")
        about = request.query.get("about")
        found = [one for one in self.read_model.history() if about in (None, one.decision.target)]
        part = [entry_fields(one) for one in found[offset : offset + limit]]
        return answer(total=len(found), offset=offset, decisions=part)

    async def decide(self, request: web.Request) -> web.Response:
        """Save a decision; answers when the broker has confirmed it."""
        user = request[USER]
        try:
            fields = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            raise web.HTTPBadRequest(text="expected a JSON object") from None
        if not isinstance(fields, dict):
            raise web.HTTPBadRequest(text="expected a JSON object")
        if user.binding is not None:  # A browser also sends its session when another site makes the request.
            token = request.headers.get("X-Form-Token") or fields.get(FORM_FIELD)
            self.pages.authenticator.check_form(request, token, user)
        incident = await self.pages.find(request)
        try:
            offset = await self.pages.decided(user, incident, fields)
        except WrongUse as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        except OutOfReach as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None
        return answer(offset=offset, decisions=[_written(one) for one in self.read_model.about(incident)])

    async def releases(self, _: web.Request) -> web.Response:
        """The watched releases and their adoption per bucket."""
        await self.pages.known()
        last = self.read_model.last
        newest = {(r.model, r.released_at): r for r in last.status.releases} if last else {}
        return answer(
            scored_through=_time(last.end) if last else None,
            watermark=_time(last.status.watermark) if last else None,
            releases=[
                {
                    name: value
                    for name, value in msgspec.structs.asdict(newest[key]).items()
                    if name != "incidents"
                }
                | {
                    "bucket_ms": adoption.bucket_ms,
                    "adoption": [
                        {
                            "at": _time(p.at),
                            "share": p.share,
                            "first_uses": p.first_uses,
                            "at_risk": p.at_risk,
                        }
                        for p in adoption.points
                    ],
                }
                for key, adoption in sorted(self.read_model.adoptions.items())
                if key in newest
            ],
        )

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events; the id of each says where to continue after it."""
        given = request.headers.get("Last-Event-ID") or request.query.get("since")
        position = event_cursor.read(given) if given is not None else None
        if has_foreign_site(request.headers):
            raise web.HTTPForbidden(text="a browser asked for another site")
        settings, user = self.pages.authenticator.settings, request[USER].name
        if self.streams.total() >= settings.streams or self.streams[user] >= settings.streams_per_user:
            raise web.HTTPServiceUnavailable(
                text="too many open event streams; try again later", headers={"Retry-After": "30"}
            )
        self.streams[user] += 1
        try:
            if request.transport is not None:
                sock = request.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            response = EventSourceResponse(ping_interval=PING_SECONDS)
            await response.prepare(request)
            # The client is gone or does not read, or its time is over.
            with contextlib.suppress(ConnectionResetError, TimeoutError):
                async with asyncio.timeout(STREAM_SECONDS):
                    await self._send_events(response, given, position, request[USER])
            if request.transport is not None and request.transport.get_write_buffer_size():
                request.transport.abort()  # It does not read: waiting for it would never end.
            return response
        finally:
            self.streams[user] -= 1
            if not self.streams[user]:
                del self.streams[user]

    async def _send_events(
        self,
        response: EventSourceResponse,
        given: str | None,
        position: dict[event_cursor.Place, int] | None,
        user: User,
    ) -> None:
        event_stream = self.pages.event_stream
        async with response:
            await response.send("{}", event="hello", retry=RETRY_MS)
            await self.pages.reader.ready.wait()
            if given is not None and position is None:
                position = dict(event_stream.positions)
                await response.send("{}", event="reset", id=event_cursor.write(position))
            async for entry, after in event_stream.follow(
                event_stream.positions if position is None else position
            ):
                if not response.is_connected() or not self.pages.authenticator.still_holds(user):
                    break
                await response.send(entry.data, event=entry.name, id=event_cursor.write(after))

    def _short(self, incident: Incident) -> dict[str, Any]:
        return msgspec.structs.asdict(incident.data) | {
            "decisions": [_written(one) for one in self.read_model.about(incident)]
        }


def answer(status: int = 200, **content: Any) -> web.Response:
    """JSON."""
    return web.Response(status=status, body=encode(content), content_type="application/json")


def _written(decision: Decision) -> dict[str, Any]:
    return {
        "verdict": decision.verdict,
        "by": decision.by,
        "at": decision.at,
        "note": decision.note,
        "about": decision.target,
    }


def entry_fields(entry: Entry) -> dict[str, Any]:
    """A decision of the history as JSON; ``ended_by`` is null while it holds."""
    ended_by = entry.ended_by and {
        "verdict": entry.ended_by.verdict,
        "by": entry.ended_by.by,
        "at": entry.ended_by.at,
    }
    return {"offset": entry.decision.offset} | _written(entry.decision) | {"ended_by": ended_by}


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise web.HTTPBadRequest(text=f"{name}: expected a number")
    return int(text)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat().replace("+00:00", "Z")
