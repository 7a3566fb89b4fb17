"""The role ``web``: serves the page, and reads topics without a consumer group."""

from __future__ import annotations

import functools
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import cast

from aiohttp import web

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.config.config import Config
from pivotwatch.config.topic_settings import Logical
from pivotwatch.engine.health import Key
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.log_check import Positions
from pivotwatch.engine.metrics import Metrics, Worker
from pivotwatch.engine.role_task import LivePartition, RoleTask
from pivotwatch.engine.runtime import RoleApp, build_app, run_app
from pivotwatch.engine.types import TP
from pivotwatch.web import security_headers
from pivotwatch.web.api import Api
from pivotwatch.web.authentication import Authenticator
from pivotwatch.web.checks import refuse_forgotten_sessions, refuse_open_page
from pivotwatch.web.decision_form import DecisionWriter
from pivotwatch.web.login_log import LoginLog
from pivotwatch.web.login_pages import LoginPages
from pivotwatch.web.metrics import WebMetrics
from pivotwatch.web.middleware import middleware
from pivotwatch.web.page_reader import TOPICS, Reader
from pivotwatch.web.pages import Pages
from pivotwatch.web.provider import Provider
from pivotwatch.web.read_model import ReadModel
from pivotwatch.web.server_sent_events import EventStream
from pivotwatch.web.sessions import Sessions, SessionWriter
from pivotwatch.web.settings import DEFAULT_PORT, WebSettings, read_settings
from pivotwatch.web.view_models import ViewModels

logger = logging.getLogger(__name__)

MOST_BODY = 64 * 1024


class WebTask(RoleTask[LivePartition]):
    """Serves the page. It reads topics without a group, so it has no partitions."""

    role = "web"
    metrics: WebMetrics

    def __init__(self, config: Config, settings: WebSettings, reader: Reader) -> None:
        self.config, self.settings, self.reader = config, settings, reader

    def make_metrics(self, worker: Worker) -> Metrics:
        """Make the metrics of the worker."""
        self.metrics = WebMetrics(worker)
        return self.metrics

    def background(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """The reader of topics, and the log line that says where the page is."""
        return [self.reader.run, self._announce]

    def remedy(self, topic: str) -> str:
        """What a person does when a topic has changed: a page keeps nothing."""
        return "Start the page again; it reads every topic from its beginning"

    def followed(self) -> Sequence[Positions]:
        """How far the topics of the page were read."""
        return [self.reader.logs]

    def progress(self) -> Mapping[Key, int]:
        """The progress in ``status``, which stands for all topics: one consumer reads them."""
        status = TP(self.config.topic("status"), 0)
        return {status: self.reader.next.get(status, 0)}

    def is_ready(self) -> bool:
        """Whether everything that the topics held at the start is read."""
        return self.reader.ready.is_set()

    async def stop(self) -> None:
        """End the event streams of clients."""
        self.reader.event_stream.close()

    async def _announce(self) -> None:
        server = cast("RoleApp", self.host.app).server
        assert server is not None
        host, port = server.address
        scheme = "https" if self.settings.tls_certfile else "http"
        logger.info("the page is at %s://%s:%d/", scheme, f"[{host}]" if ":" in host else host, port)


def run(config: Config, *, instance: str | None, until_end: bool, reset_state: bool) -> int:
    """Run the worker in this process until a signal; return the exit status. The role has no state to reset.

    Raises
    ------
    Fault
        With a message for a person.
    """
    settings = read_settings(config.web)
    if until_end:
        raise WrongUse("--until-end: the page has no end")
    refuse_open_page(config, settings)
    refuse_forgotten_sessions(config, settings)
    partitions = sync_client.survey(config, [config.topic(name) for name in TOPICS]).partitions
    places = [(name, number) for name in TOPICS for number in range(partitions[config.topic(name)])]
    app = build_web(config, settings, instance, places)
    return run_app(config, app, instance)


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
    read_model, event_stream, sessions = ReadModel(), EventStream(), Sessions()
    task = WebTask(config, settings, Reader(config, places, read_model, event_stream, sessions))
    held: list[Pages] = []
    site = web.Application(middlewares=[middleware(lambda: held[0])], client_max_size=MOST_BODY)
    app = build_app(
        config,
        task,
        instance,
        pages=site,
        tls=_tls(settings),
        proxies=settings.proxy.addresses if settings.proxy else (),
    )
    send = app.shell.producer.send_and_wait
    writer = SessionWriter(send, config.topic("sessions"), sessions)
    pages = Pages(
        ViewModels(config, read_model, lambda: clock() * 1000),
        task.reader,
        event_stream,
        Authenticator(settings, config.web_host, sessions, writer, LoginLog(task.metrics.login)),
        DecisionWriter(send, config.topic("decisions")),
    )
    held.append(pages)
    pages.add_to(site)
    LoginPages(pages, _provider(settings)).add_to(site)
    Api(pages).add_to(site)
    site.on_response_prepare.append(security_headers.add)
    site.on_shutdown.append(functools.partial(_end_of_events, event_stream))
    return app


def _provider(settings: WebSettings) -> Provider | None:
    if settings.oidc is None:
        return None
    from pivotwatch.web.oidc import OidcClient  # Its libraries take time and memory that other pages save.

    return OidcClient(settings.oidc)


async def _end_of_events(event_stream: EventStream, _: web.Application) -> None:
    event_stream.close()


def _tls(settings: WebSettings) -> ssl.SSLContext | None:
    if settings.tls_certfile is None or settings.tls_keyfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certfile, settings.tls_keyfile)
    except (OSError, ssl.SSLError) as error:
        raise OutOfReach(f"[web] tls_certfile, tls_keyfile: {error}") from None
    return context
