"""The pages: HTML rendered on the server. The script only keeps it up to date."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import escape

from pivotwatch.base.display import clock_time, times
from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.base.outside_text import visible
from pivotwatch.contracts.codec import format_moment
from pivotwatch.reporting import page, tables
from pivotwatch.web import event_cursor
from pivotwatch.web.authentication import FORM_FIELD, Authenticator, User
from pivotwatch.web.decision_form import DecisionWriter, read_request
from pivotwatch.web.page_reader import Reader
from pivotwatch.web.read_model import Incident
from pivotwatch.web.server_sent_events import EventStream
from pivotwatch.web.view_models import ViewModels

USER: Final = web.RequestKey("user", User)
READY_SECONDS = 20.0
SEEN_SECONDS = 5.0
HERE = Path(__file__).parent


class Pages:
    """Serves the incident pages and the runbook as HTML.

    Parameters
    ----------
    views
        Makes what the templates show.
    reader, event_stream
        Reads the topics; the events read so far.
    authenticator
        Identifies and authorises people.
    decision_writer
        Writes decisions to their topic.
    """

    def __init__(
        self,
        views: ViewModels,
        reader: Reader,
        event_stream: EventStream,
        authenticator: Authenticator,
        decision_writer: DecisionWriter,
    ) -> None:
        self.views, self.reader, self.event_stream, self.authenticator, self.decision_writer = (
            views,
            reader,
            event_stream,
            authenticator,
            decision_writer,
        )
        self._templates = templates()

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/", self.now)
        app.router.add_get("/incidents", self.incidents)
        app.router.add_get("/incidents/{id}", self.incident)
        app.router.add_post("/incidents/{id}/decisions", self.decide)
        app.router.add_get("/runbook", self.runbook)
        app.router.add_get("/static/{name}", static)

    async def now(self, request: web.Request) -> web.Response:
        """The front page: releases, open incidents, state of the pipeline."""
        await self.known()
        return self.page(request, "now.html", self.views.now())

    async def incidents(self, request: web.Request) -> web.Response:
        """All incidents as a table."""
        await self.known()
        state, kind = request.query.get("state", "open"), request.query.get("kind", "groups")
        number = request.query.get("page", "0")
        if state not in ("open", "ended", "all") or kind not in ("groups", "accounts", "all"):
            raise web.HTTPBadRequest(text="expected state=open|ended|all and kind=groups|accounts|all")
        if not (number.isascii() and number.isdigit() and len(number) < 6):
            raise web.HTTPBadRequest(text="page: expected a number")
        return self.page(request, "incidents.html", self.views.table(state, kind, int(number)))

    async def incident(self, request: web.Request) -> web.Response:
        """The page of one incident, with its evidence and the decision form."""
        shown = self.views.incident(await self.find(request))
        if shown is None:
            raise web.HTTPNotFound(text="this alert cannot be read")
        user = request.get(USER)
        offset = request.query.get("decided", "")
        saved = next((d for d in shown["decisions"] if str(d.offset) == offset), None)
        shown |= {"can_decide": bool(user and user.decides), "saved": saved}
        return self.page(request, "incident.html", shown)

    async def decide(self, request: web.Request) -> web.Response:
        """Handle the decision form of an incident."""
        user, form = request[USER], await read_form(request)
        self.authenticator.check_form(request, form.get(FORM_FIELD), user)
        incident = await self.find(request)
        try:
            offset = await self.decided(user, incident, {**form, "entity": _group(incident, form)})
        except WrongUse as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        except OutOfReach as error:
            raise web.HTTPServiceUnavailable(text=str(error)) from None
        raise web.HTTPSeeOther(f"/incidents/{incident.alert_id}?decided={offset}#decision")

    async def decided(self, user: User, incident: Incident, fields: Any) -> int:
        """Write a decision. The pages show it when this returns.

        Raises
        ------
        WrongUse, OutOfReach
            As in `pivotwatch.web.decision_form`.
        aiohttp.web.HTTPForbidden
            When the user is not an operator.
        """
        if not user.decides:
            raise web.HTTPForbidden(text="only operators can decide")
        decision = read_request(
            incident.alert_id,
            [incident.data.entity, *incident.data.groups],
            fields.get("verdict"),
            fields.get("entity"),
            fields.get("note"),
        )
        # The decision is taken although the browser may not wait for the answer.
        offset = await asyncio.shield(self.decision_writer.write(decision, user.name))
        # The broker has it; at worst the page shows it a little later.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEEN_SECONDS):
                await self.event_stream.reached(("decisions", 0), offset)
        return offset

    async def runbook(self, request: web.Request) -> web.Response:
        """The runbook."""
        return self.page(request, "runbook.html", {})

    async def known(self) -> None:
        """Wait until everything is read that the topics held at the start."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self.reader.ready.wait()
        except TimeoutError:
            raise web.HTTPServiceUnavailable(
                text="still loading the topics; try again in a few seconds", headers={"Retry-After": "2"}
            ) from None

    async def find(self, request: web.Request) -> Incident:
        """The incident that the address names."""
        await self.known()
        found = self.views.read_model.incidents.get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(
                text="no such incident; it may be older than the retention of the topic alerts"
            )
        return found

    def page(self, request: web.Request, name: str, shown: dict[str, Any], status: int = 200) -> web.Response:
        """A page within its frame."""
        return web.Response(text=self.render(request, name, shown), status=status, content_type="text/html")

    def render(self, request: web.Request, name: str, shown: dict[str, Any]) -> str:
        """The HTML of a page within its frame."""
        return self._templates.get_template(name).render(shown | self._frame(request))

    def error(self, request: web.Request, status: int, message: str) -> web.Response:
        """A page that says what went wrong."""
        return self.page(request, "error.html", {"status": status, "message": message}, status)

    def _frame(self, request: web.Request) -> dict[str, Any]:
        user = request.get(USER)
        return {
            "user": user,
            "path": request.path,
            "cursor": event_cursor.write(self.event_stream.positions),
            "form_token": self.authenticator.form_token(user.binding) if user and user.binding else "",
        }


def _group(incident: Incident, form: Mapping[str, object]) -> object:
    """The group that a person chose by its visible name, since a form cannot hold every character."""
    groups = [f"{group.kind}:{group.id}" for group in (incident.data.entity, *incident.data.groups)]
    chosen = form.get("entity")
    return next((group for group in groups if visible(group) == chosen), chosen)


async def read_form(request: web.Request) -> Mapping[str, object]:
    """The fields of a URL-encoded form; files are not accepted.

    Raises
    ------
    aiohttp.web.HTTPException
        When the request is not such a form.
    """
    if request.content_type.startswith("multipart/"):
        raise web.HTTPUnsupportedMediaType(text="expected a form: application/x-www-form-urlencoded")
    try:
        return await request.post()
    except (LookupError, ValueError):  # An unknown encoding, or bytes that are invalid in it.
        raise web.HTTPBadRequest(text="this form cannot be read") from None


def here(target: str) -> str:
    r"""The target if it is a path of this site, otherwise the front page.

    Examples
    --------
    >>> here("/incidents/1?state=all"), here("//elsewhere"), here("https://elsewhere"), here("/\\elsewhere")
    ('/incidents/1?state=all', '/', '/', '/')
    """
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"


def login_page(request: web.Request) -> str:
    """The address of the login form, which leads back to the requested page."""
    return "/login?next=" + quote(request.path_qs, safe="")


TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC = {
    path.name: (path.read_bytes(), TYPES[path.suffix])
    for path in (*sorted((HERE / "static").iterdir()), HERE.parent / "reporting" / "charts.css")
    if path.suffix in TYPES
}


async def static(request: web.Request) -> web.Response:
    """A static file: style sheet, script or icon."""
    found = STATIC.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound(text="no such file")
    response = web.Response(body=found[0], content_type=found[1], charset="utf-8")
    response.etag = TAG
    if any(tag.value == TAG for tag in request.if_none_match or ()):
        raise web.HTTPNotModified(headers={"ETag": f'"{TAG}"'})
    return response


TAG = secrets.token_hex(8)
"""The ETag of static files: one per process, as another process may run another version."""


def _time(when: datetime | str) -> datetime:
    return datetime.fromisoformat(when) if isinstance(when, str) else when


def templates() -> Environment:
    """The templates; Jinja2 makes every text in them visible and escapes it."""
    environment = Environment(
        loader=PackageLoader("pivotwatch.web"),
        autoescape=True,
        finalize=page.shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = lambda when: tables.moment(_time(when))
    environment.filters["times"] = times
    environment.filters["lines"] = lambda text: escape(visible(text, lines=True))
    environment.filters["utc"] = lambda when: clock_time(_time(when))
    environment.filters["iso"] = lambda when: when if isinstance(when, str) else format_moment(when)
    return environment
