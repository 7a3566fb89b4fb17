"""Builds the Faust app of a role, and runs it.

Every role is its own app and consumer group, so scaling one role does not rebalance another.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import faust
from aiohttp import web
from kafka.admin import MemberToRemove
from mode import CrashingSupervisor
from yarl import URL

from pivotwatch.base.addresses import IPNetwork
from pivotwatch.base.errors import Fault, OutOfReach
from pivotwatch.base.outside_text import visible_message
from pivotwatch.config.config import Config
from pivotwatch.engine import gc_tuning
from pivotwatch.engine.changelog import CheckpointTable, Tables
from pivotwatch.engine.fetching.consumer import FetchTransport
from pivotwatch.engine.http.server import HttpServer
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.async_client import faust_credentials, refusal
from pivotwatch.engine.kafka.topics import changelog_settings
from pivotwatch.engine.role_task import RoleTask
from pivotwatch.engine.shell import Shell
from pivotwatch.engine.types import TP

BUFFERED_CHUNKS = 8
STOP_SECONDS = 9.0


class RoleApp(faust.App):
    """A Faust app that saves its live partitions in an orderly end.

    Attributes
    ----------
    consumes
        Whether it is a member of a consumer group.
    server
        Serves health, metrics and the pages of the role; None without a port.
    """

    shell: Shell[Any]
    consumes = True
    server: HttpServer | None = None

    def run_without_consumer(self) -> None:
        """Only produce and serve pages: join no consumer group, and wait for no table."""
        self.boot_strategy = self.BootStrategy(self, enable_kafka_consumer=False)
        self.consumes = False

    async def _wait_for_table_recovery_completed(self) -> bool:
        return self.consumes and await super()._wait_for_table_recovery_completed()

    async def on_start(self) -> None:
        """Start; serve health from the beginning, also while the state is read."""
        await super().on_start()
        if self.server is not None:
            await self.server.start()

    async def on_stop(self) -> None:
        """Save, then let Faust commit and leave the group."""
        if self.crash_reason is None:
            await self.shell.close()
        if self.server is not None:
            await self.server.stop()
        await super().on_stop()

    def _create_directories(self) -> None:
        """Create nothing: no state is on disk."""


class RoleWorker(faust.Worker):
    """A worker that leaves logging to the command line, and always ends.

    Attributes
    ----------
    user
        The Kafka user, for messages.
    """

    user: str = "this user"

    def fault(self, error: BaseException | None = None) -> Fault | None:
        """The reason of the end, if a person can correct it; else None.

        Parameters
        ----------
        error
            The exception that ended the process, if it did not crash.
        """
        error = self.crash_reason or error
        if isinstance(error, Fault):
            return error
        if refused := refusal(error):
            return OutOfReach(
                f"{self.user} lacks a right (`python -m pivotwatch.engine.kafka.acls`): {refused}"
            )
        return None

    def end(self) -> None:
        """End as SIGTERM does, with exit status 0."""
        self._schedule_shutdown(signal.SIGTERM)

    async def stop(self) -> None:
        """Stop. A stop that hangs is cut short: everything that counts is on Kafka already."""
        timer = threading.Timer(STOP_SECONDS, self._cut_short)
        timer.daemon = True
        timer.start()
        await super().stop()

    def _cut_short(self) -> None:
        status = os.EX_OK if self.crash_reason is None else 1
        if (fault := self.fault()) is not None:
            status = fault.exit_status
            # As the command line would.
            print(f"Error: {visible_message(str(fault))}", file=sys.stderr, flush=True)
        os._exit(status)

    async def _sentinel_task(self) -> None:
        """Do not sleep; Faust sleeps a second here."""


def build_app(
    config: Config,
    task: RoleTask[Any],
    instance: str | None,
    *,
    sources: Sequence[str] = (),
    state_partitions: int | None = None,
    until_end: Mapping[TP, int] | None = None,
    reset_state: bool = False,
    pages: web.Application | None = None,
    tls: ssl.SSLContext | None = None,
    proxies: Sequence[IPNetwork] = (),
) -> RoleApp:
    """Build the Faust app of a role.

    Parameters
    ----------
    config
        The configuration.
    task
        The task of the role.
    instance
        The name of the worker in its group. A named worker keeps its partitions over a restart.
    sources
        Topics that the role consumes in a group. Without any, the app has no consumer.
    state_partitions, until_end, reset_state
        Parameters of `Shell`.
    pages
        Pages of the role, besides health and metrics.
    tls
        The TLS context for HTTPS; None for HTTP.
    proxies
        Networks of reverse proxies, for `pivotwatch.engine.http.server.HttpServer`.
    """
    app = RoleApp(config.app_id(task.role), **app_settings(config, instance))
    shell = app.shell = Shell(
        app,
        config,
        task,
        sources=sources,
        state_partitions=state_partitions,
        until_end=until_end,
        reset_state=reset_state,
    )
    if sources:
        app.transport = FetchTransport(
            app.conf.broker_consumer,
            app,
            chunked=sources,
            resume=shell.resume,
            revoked=shell.drop,
            commit_text=shell.commit_text,
        )
        if state_partitions is not None:
            settings = changelog_settings(config)
            app.tables.add(
                CheckpointTable(
                    app, owner=shell, settings=settings, name="state", partitions=state_partitions
                )
            )
        topic = app.topic(*sources, key_serializer="raw", value_serializer="raw", maxsize=BUFFERED_CHUNKS)
        app.agent(topic, name=task.role, concurrency=1)(shell.run)
        app.task(shell.tend)
    else:
        app.run_without_consumer()
    if config.web_port is not None:
        pages = web.Application() if pages is None else pages
        shell.health.add_pages(pages)
        shell.metrics.add_page(pages)
        app.server = HttpServer(
            pages, "web_port", config.web_host, config.web_port, config.http, tls=tls, proxies=proxies
        )
        shell.metrics.servers["web_port"] = app.server
    app.task(shell.watch)
    app.task(shell.watch_logs)
    for work in task.background():
        app.task(work)
    return app


def app_settings(config: Config, instance: str | None) -> dict[str, Any]:
    """The settings of Faust, the same for every role."""
    name = instance or f"{socket.gethostname()}-{os.getpid()}"
    session = config.session_timeout.total_seconds()
    return {
        "broker": [URL(f"kafka://{address}") for address in config.bootstrap],
        "broker_credentials": faust_credentials(config),
        "broker_client_id": f"pivotwatch-{name}",
        # Static membership: back after a restart without waiting for the dead member's session.
        "consumer_group_instance_id": instance,
        "broker_session_timeout": session,
        "broker_heartbeat_interval": min(3.0, session / 5),
        # With 5,000 records per poll a worker mostly waits.
        "broker_max_poll_records": 20_000,
        "consumer_max_fetch_size": 8_000_000,
        "producer_request_timeout": 120.0,
        # Faust's default restarts a failed agent behind the records on which it failed.
        "agent_supervisor": CrashingSupervisor,
        # A stop must not wait for queued chunks: they are read again.
        "stream_wait_empty": False,
        "store": "memory://",
        "TableManager": Tables,
        "table_standby_replicas": 0,
        "topic_replication_factor": config.replication_factor,
        "topic_disable_leader": True,  # A topic for timers, which we do not use.
        # Part of the assignment of the group, so it must be the same after a restart.
        "canonical_url": f"http://{name}",
        "web_enabled": False,  # We serve pages ourselves, with limits.
        "worker_redirect_stdouts": False,
    }


def run_app(config: Config, app: RoleApp, instance: str | None) -> int:
    """Run an app to its end; return exit status 0 for a clean end, 1 for a crash.

    Raises
    ------
    Fault
        With a message for the operator.
    """
    role = app.shell.task.role
    if app.consumes:
        sync_client.refuse_without_group(config, config.app_id(role))
    if app.server is not None:
        app.server.bind()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = RoleWorker(
        app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False, stdout=sys.stderr
    )
    worker.spinner = None
    worker.user = config.sasl_username or worker.user
    app.shell.stop = worker.end
    gc_tuning.settle()
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        if (fault := worker.fault(ended)) is not None:
            raise fault from None
        if app.shell.over and instance is not None:
            _leave(config, role, instance)
        return int(ended.code or 0)


def _leave(config: Config, role: str, instance: str) -> None:
    """Remove a named member from the group, where it would stay until its session ends."""
    with sync_client.admin(config) as client:
        client.remove_group_members(config.app_id(role), [MemberToRemove(group_instance_id=instance)])
