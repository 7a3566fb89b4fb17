"""The role ``delivery``: sends the alerts of ``alerts`` to targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pivotwatch.config.config import Config
from pivotwatch.delivery.notifier import Publish
from pivotwatch.delivery.target_sender import TargetSender, make_target_senders
from pivotwatch.delivery.worker import DeliveryTask
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
    """Run the worker in this process until a signal or the end of its input; return the exit status.

    Raises
    ------
    Fault
        With a message for a person.
    """
    task = DeliveryTask(config, make_target_senders)
    source = config.topic("alerts")
    seen = sync_client.survey(config, [source, config.topic("deliveries_dlq")], state_of="delivery")
    app = build_app(
        config,
        task,
        instance,
        sources=[source],
        state_partitions=seen.partitions[source],
        until_end=seen.ends if until_end else None,
        reset_state=reset_state,
    )
    return run_app(config, app, instance)
