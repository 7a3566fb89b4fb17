"""The role ``delivery`` put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pivotwatch.config.config import Config
from pivotwatch.delivery.notifier import Publish
from pivotwatch.delivery.target_sender import TargetSender, make_target_senders
from pivotwatch.delivery.worker import DeliveryShell
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.runtime import build_app, run_app

MakeTargetSenders = Callable[[Config, Publish], Sequence[TargetSender]]


def run(
    config: Config,
    *,
    instance: str | None,
    until_end: bool,
    reset_state: bool,
    make_target_senders: MakeTargetSenders = make_target_senders,
) -> int:
    """Run the worker in this process, until a signal or the end of its input; returns its exit status.

    Raises
    ------
    Fault
        With a message for the operator.
    """
    source = config.topic("alerts")
    seen = sync_client.survey(config, "delivery", source, [config.topic("deliveries_dlq")])
    app = build_app(
        config,
        "delivery",
        instance,
        lambda app: DeliveryShell(
            app,
            config,
            until_end=seen.ends[source] if until_end else None,
            reset_state=reset_state,
            make_target_senders=make_target_senders,
        ),
        sources=[source],
        state_partitions=seen.partitions[source],
    )
    return run_app(config, "delivery", app, instance)
