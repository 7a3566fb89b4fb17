"""The role ``web`` put together: Faust's web server with our pages, a reader of topics, no consumer group."""

from __future__ import annotations

import functools
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from aiohttp import web

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.config.config import Config, Logical
from pivotwatch.engine.health import Health
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.metrics import Metrics
from pivotwatch.engine.runtime import RoleApp, build_app, run_app
from pivotwatch.web import security_headers
from pivotwatch.web.api import Api
from pivotwatch.web.authentication import Authenticator
from pivotwatch.web.decision_form import DecisionWriter
from pivotwatch.web.middleware import middleware
from pivotwatch.web.pages import Pages
from pivotwatch.web.read_model import ReadModel
from pivotwatch.web.server_sent_events import EventStream
from pivotwatch.web.settings import DEFAULT_PORT, WebSettings, is_loopback, read_settings
from pivotwatch.web.topic_follower import TOPICS, Reader
from pivotwatch.web.view_models import ViewModels

logger = logging.getLogger(__name__)

MOST_BODY = 64 * 1024


class WebShell:
    """The worker as `run_app`, health and metrics see it."""

    role = "web"
    over = False
    stop: Callable[[], None]
    live: Mapping[int, Any] = {}

    def __init__(self, app: Any, config: Config, reader: Reader, event_stream: EventStream) -> None:
        self.app, self.config, self.reader, self.event_stream = app, config, reader, event_stream
        self.metrics = Metrics(self.role, self)
        self.health = Health(reader, config.stalled_after.total_seconds())

    def end_of(self, partition: int) -> int | None:
        """No partition is ours."""
        return None

    async def watch(self) -> None:
        """Judge the own progress until the process ends."""
        await self.health.watch(self.config, self.config.topic("status"))

    async def close(self) -> None:
        """Let those who follow go."""
        self.event_stream.close()


def run(config: Config, *, instance: str | None, until_end: bool, reset_state: bool) -> int:
    """Run the worker in this process, until a signal; returns its exit status. It has no state to forget.

    Raises
    ------
    Fault
        With a message for the operator.
    """
    settings = read_settings(config.web)
    if until_end:
        raise WrongUse("--until-end: the page has no end")
    refuse_open_page(config, settings)
    with sync_client.consumer(config) as client:
        places = [
            (name, tp.partition)
            for name in TOPICS
            for tp in sync_client.partitions_of(client, config.topic(name))
        ]
    app = build_web(config, settings, instance, places)
    return run_app(config, "web", app, instance)


def refuse_open_page(config: Config, settings: WebSettings) -> None:
    """A page without a login is for this machine alone.

    Raises
    ------
    WrongUse
        With what to do.
    """
    if not settings.has_login and not is_loopback(config.web_host):
        raise WrongUse(
            f"web_host {config.web_host} is reached by others, and the page shows accounts: "
            "name [web] people or a proxy (streams/pivotwatch/web/README.md), or listen on 127.0.0.1"
        )


def build_web(
    config: Config,
    settings: WebSettings,
    instance: str | None,
    places: Sequence[tuple[Logical, int]],
    clock: Callable[[], float] = time.time,
) -> RoleApp:
    """Build the Faust app."""
    port = DEFAULT_PORT if config.web_port is None else config.web_port
    config = config.model_copy(update={"web_port": port})
    read_model, event_stream = ReadModel(), EventStream()
    reader = Reader(config, places, read_model, event_stream)
    held: list[Pages] = []
    app = build_app(
        config,
        "web",
        instance,
        lambda app: WebShell(app, config, reader, event_stream),
        web_application_options={"middlewares": [middleware(lambda: held[0])], "client_max_size": MOST_BODY},
        web_ssl_context=_tls(settings),
    )
    authenticator = Authenticator(settings, config.web_host)
    decision_writer = DecisionWriter(lambda: app.producer, config.topic("decisions"))
    pages = Pages(
        ViewModels(config, read_model, lambda: clock() * 1000),
        reader,
        event_stream,
        authenticator,
        decision_writer,
    )
    held.append(pages)
    server: web.Application = cast("Any", app.web).web_app
    pages.add_to(server)
    Api(pages).add_to(server)
    server.on_response_prepare.append(security_headers.add)
    server.on_shutdown.append(functools.partial(_end_of_events, event_stream))
    app.service(reader)  # type: ignore[arg-type]  # an instance will do
    app.task(functools.partial(_tell, app, settings))
    return app


async def _end_of_events(event_stream: EventStream, _: web.Application) -> None:
    event_stream.close()


async def _tell(app: RoleApp, settings: WebSettings) -> None:
    """Where it is, now that it listens; port 0 was any free one."""
    host, port = cast("Any", app.web)._runner.addresses[0][:2]
    scheme = "https" if settings.tls_certfile else "http"
    name = f"[{host}]" if ":" in host else host
    logger.info("the page is at %s://%s:%d/", scheme, name, port)


def _tls(settings: WebSettings) -> ssl.SSLContext | None:
    if settings.tls_certfile is None or settings.tls_keyfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certfile, settings.tls_keyfile)
    except (OSError, ssl.SSLError) as error:
        raise OutOfReach(f"[web] tls_certfile, tls_keyfile: {error}") from None
    return context
