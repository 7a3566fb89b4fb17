"""The role ``delivery`` put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pivotwatch.config.config import Config
from pivotwatch.delivery.notifiers import Publish
from pivotwatch.delivery.target_sender import TargetSender, target_senders
from pivotwatch.delivery.worker import DeliveryShell
from pivotwatch.engine.changelog import CheckpointTable
from pivotwatch.engine.fetching.consumer import FetchTransport
from pivotwatch.engine.kafka import sync_client

MakeTargetSenders = Callable[[Config, Publish], Sequence[TargetSender]]


def run_delivery(
    config: Config,
    *,
    instance: str | None,
    until_end: bool,
    reset_state: bool,
    make_target_senders: MakeTargetSenders = target_senders,
) -> int:
    """Run the worker in this process, until a signal or the end of its input.

    Raises
    ------
    Fault
        With a message for the operator.
    """
    from pivotwatch.engine.runtime import run_app

    with sync_client.consumer(config, isolation_level="read_committed") as client:
        source = sync_client.partitions_of(client, config.topic("alerts"))
        sync_client.partitions_of(client, config.topic("deliveries_dlq"))
        sync_client.refuse_other_partitions(client, f"{config.app_id('delivery')}-state-changelog", source)
        ends = {tp.partition: end for tp, end in client.end_offsets(source).items()} if until_end else None
    app = build_delivery(
        config,
        instance,
        partitions=len(source),
        until_end=ends,
        reset_state=reset_state,
        make_target_senders=make_target_senders,
    )
    return run_app(config, "delivery", app, instance)


def build_delivery(config: Config, instance: str | None, *, partitions: int, **parts: Any) -> Any:
    """Build the Faust app; ``parts`` as `DeliveryShell` takes them."""
    from pivotwatch.engine.runtime import BUFFERED_CHUNKS, RoleApp, app_settings

    app = RoleApp(config.app_id("delivery"), **app_settings(config, instance))
    shell = DeliveryShell(app, config, **parts)
    app.shell = shell
    app.transport = FetchTransport(
        app.conf.broker_consumer, app, chunked=[shell.source], resume=shell.resume, revoked=shell.drop
    )
    app.tables.add(CheckpointTable(app, owner=shell, name="state", partitions=partitions))
    topic = app.topic(shell.source, key_serializer="raw", value_serializer="raw", maxsize=BUFFERED_CHUNKS)
    app.agent(topic, name="delivery", concurrency=1)(shell.run)
    if config.web_port is not None:
        shell.health.add_pages(app)
        shell.metrics.add_page(app)
    app.task(shell.watch)
    app.task(shell.tend)
    return app
