"""The composition root: builds the Faust app of a role, and runs it to its end.

Every role is an app, and so a consumer group, of its own: scaling one role must not
rebalance another.
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import faust
from kafka.admin import MemberToRemove
from mode import CrashingSupervisor
from yarl import URL

from pivotwatch.base.errors import Fault, OutOfReach
from pivotwatch.config.config import Config, Logical, Role
from pivotwatch.engine import gc_tuning
from pivotwatch.engine.changelog import CheckpointTable, Tables
from pivotwatch.engine.fetching.consumer import FetchTransport
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.async_client import faust_credentials, refusal
from pivotwatch.engine.worker import Shell
from pivotwatch.roles.accounts import AccountsShell
from pivotwatch.roles.networks import CONTROL_TOPICS, NetworksShell

SHELLS: Mapping[Role, type[Shell[Any]]] = {"accounts": AccountsShell, "networks": NetworksShell}
SOURCES: Mapping[Role, Logical] = {"accounts": "requests", "networks": "buckets"}

BUFFERED_CHUNKS = 8
STOP_SECONDS = 9.0


class RoleApp(faust.App):
    """A Faust app that saves its live partitions when it ends in an orderly way."""

    shell: Any

    async def on_stop(self) -> None:
        """Save, then let Faust commit and leave."""
        if self.crash_reason is None:
            await self.shell.close()
        await super().on_stop()

    def _create_directories(self) -> None:
        """Nothing of ours lives on disk."""


class RoleWorker(faust.Worker):
    """A worker that leaves logging to the command line, and always ends.

    Attributes
    ----------
    user
        Whose rights it has, for messages.
    """

    user: str = "this user"

    def fault(self, error: BaseException | None = None) -> Fault | None:
        """What a person can mend, if that is why it ends; without a crash the error itself may tell."""
        error = self.crash_reason or error
        if isinstance(error, Fault):
            return error
        if refused := refusal(error):
            return OutOfReach(
                f"{self.user} lacks a right (`python -m pivotwatch.engine.kafka.acls`): {refused}"
            )
        return None

    def end(self) -> None:
        """End in the way a signal ends us, exit status 0."""
        self._schedule_shutdown(signal.SIGTERM)

    async def stop(self) -> None:
        """Stop; one that hangs is cut short, because what counts is on Kafka already."""
        timer = threading.Timer(STOP_SECONDS, self._cut_short)
        timer.daemon = True
        timer.start()
        await super().stop()

    def _cut_short(self) -> None:
        status = os.EX_OK if self.crash_reason is None else 1
        if (fault := self.fault()) is not None:
            status = fault.exit_status
            print(f"Error: {fault}", file=sys.stderr, flush=True)  # As the command line would.
        os._exit(status)

    async def _sentinel_task(self) -> None:
        """Faust sleeps a second here."""


def build_app(
    config: Config,
    role: Role,
    instance: str | None,
    *,
    partitions: int,
    source_partitions: int,
    make_operator: Callable[..., Any],
    until_end: Mapping[int, int] | None = None,
    reset_state: bool = False,
) -> RoleApp:
    """Build the Faust app of a role.

    Parameters
    ----------
    config
        The configuration.
    role, instance
        What the worker does, and its name in the group, if any: with one it keeps its
        partitions over a restart.
    partitions, source_partitions
        Number of partitions of ``requests``, and of the role's own input.
    make_operator
        Makes a new step.
    until_end, reset_state
        As `Shell` takes them.
    """
    source = config.topic(SOURCES[role])
    app = RoleApp(config.app_id(role), **app_settings(config, instance))
    shell = SHELLS[role](
        app,
        config,
        source=source,
        partitions=partitions,
        make_operator=make_operator,
        until_end=until_end,
        reset_state=reset_state,
    )
    app.shell = shell
    app.transport = FetchTransport(
        app.conf.broker_consumer, app, chunked=[source], resume=shell.resume, revoked=shell.drop
    )
    app.tables.add(CheckpointTable(app, owner=shell, name="state", partitions=source_partitions))
    topic = app.topic(source, key_serializer="raw", value_serializer="raw", maxsize=BUFFERED_CHUNKS)
    app.agent(topic, name=role, concurrency=1)(shell.run)
    if config.web_port is not None:
        shell.health.add_pages(app)
    app.task(shell.watch)
    app.task(shell.tend)
    if config.web_port is not None:
        shell.metrics.add_page(app)
    return app


def app_settings(config: Config, instance: str | None) -> dict[str, Any]:
    """Settings of Faust that every role shares."""
    name = instance or f"{socket.gethostname()}-{os.getpid()}"
    web: dict[str, Any] = {"web_enabled": False}
    if config.web_port is not None:
        port = config.web_port or _free_port(config.web_host)  # Faust knows no port 0.
        web = {"web_enabled": True, "web_bind": config.web_host, "web_port": port}
    session = config.session_timeout.total_seconds()
    return {
        "broker": [URL(f"kafka://{address}") for address in config.bootstrap],
        "broker_credentials": faust_credentials(config),
        "broker_client_id": f"pivotwatch-{name}",
        # Static membership: back after a restart without waiting for the dead member's session.
        "consumer_group_instance_id": instance,
        "broker_session_timeout": session,
        "broker_heartbeat_interval": min(3.0, session / 5),
        # Many records a fetch: with 5,000 a worker mostly waits.
        "broker_max_poll_records": 20_000,
        "consumer_max_fetch_size": 8_000_000,
        "producer_request_timeout": 120.0,
        # Faust's default restarts a failed agent behind the records that it failed on.
        "agent_supervisor": CrashingSupervisor,
        # A stop must not wait for what is still queued: it is read again.
        "stream_wait_empty": False,
        "store": "memory://",
        "TableManager": Tables,
        "table_standby_replicas": 0,
        "topic_replication_factor": config.replication_factor,
        "topic_disable_leader": True,  # A topic of its own, for timers that we do not have.
        # Part of the group's assignment: it must be the same after a restart.
        "canonical_url": f"http://{name}",
        "web_tables_enabled": False,
        "web_router_enabled": False,
        "worker_redirect_stdouts": False,
        **web,
    }


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as found:
        return int(found.getsockname()[1])


def run_worker(
    config: Config,
    *,
    role: Role,
    instance: str | None = None,
    until_end: bool = False,
    reset_state: bool = False,
    make_operator: Callable[..., Any] | None = None,
) -> int:
    """Run the worker of a role in this process, until a signal or the end of its input.

    Returns
    -------
    int
        0 for a clean end, 1 for a crash.

    Raises
    ------
    Fault
        With a message for the operator: no broker, no topic, a state that must not be continued.
    """
    if role == "ingest":
        from pivotwatch.roles.ingest import run_ingest

        return run_ingest(config, instance=instance, until_end=until_end)
    if role == "delivery":
        from pivotwatch.roles.delivery import run_delivery

        return run_delivery(config, instance=instance, until_end=until_end, reset_state=reset_state)
    if role == "web":
        from pivotwatch.roles.web import run_web

        return run_web(config, instance=instance, until_end=until_end)
    partitions, source_partitions, ends = _look(config, role, until_end)
    app = build_app(
        config,
        role,
        instance,
        partitions=partitions,
        source_partitions=source_partitions,
        make_operator=make_operator or _step_of(config, role),
        until_end=ends,
        reset_state=reset_state,
    )
    return run_app(config, role, app, instance)


def run_app(config: Config, role: str, app: RoleApp, instance: str | None) -> int:
    """Run an app to its end; exit status 0 for a clean one, 1 for a crash."""
    if role != "web":
        sync_client.refuse_without_group(config, config.app_id(role))
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
    """Leave the group for good; a member with a name stays in it until its session ends."""
    with sync_client.admin(config) as client:
        client.remove_group_members(config.app_id(role), [MemberToRemove(group_instance_id=instance)])


def _look(config: Config, role: Role, until_end: bool) -> tuple[int, int, dict[int, int] | None]:
    """Partitions of ``requests``, partitions of the role's input, and where a finite run ends."""
    with sync_client.consumer(config, isolation_level="read_committed") as client:
        requests = sync_client.partitions_of(client, config.topic("requests"))
        source = sync_client.partitions_of(client, config.topic(SOURCES[role]))
        ends = client.end_offsets(requests) if until_end else None
        for logical in CONTROL_TOPICS if role == "networks" else ():
            sync_client.partitions_of(client, config.topic(logical))
        sync_client.refuse_other_partitions(client, f"{config.app_id(role)}-state-changelog", source)
    finite = None if ends is None else {tp.partition: offset for tp, offset in ends.items()}
    return len(requests), len(source), finite


def _step_of(config: Config, role: Role) -> Callable[..., Any]:
    if role == "accounts":
        from pivotwatch.detection.counting.operator import CountingOperator

        return CountingOperator
    from pivotwatch.base.network_classes import class_of
    from pivotwatch.detection.scoring.operator import ScoringOperator

    return functools.partial(ScoringOperator, network_class=class_of(config.network_classes))
