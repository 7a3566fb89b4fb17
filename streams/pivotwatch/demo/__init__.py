"""The demo: a simulated launch with a hidden campaign, played through Kafka into real workers.

The demo uses topics and consumer groups with its own prefix, and starts each worker as a process. At the
end it compares the alerts with the truth, which the workers never see. `feeds` sends events and reads
results, `display` prints them, `verdict` compares them with the truth.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from kafka.admin import KafkaAdminClient

from pivotwatch.base.child_processes import Processes, worker_command
from pivotwatch.base.errors import Fault, OutOfReach
from pivotwatch.config.config import Config, Role
from pivotwatch.contracts.alerts import Alert
from pivotwatch.demo.display import Display, summary
from pivotwatch.demo.feeds import BucketsScored, EventsSent, FeedFailed, Feeds, PlaybackEnded
from pivotwatch.demo.verdict import Verdict, compare_with_truth
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import create, specs
from pivotwatch.simulation import generate
from pivotwatch.web.settings import DEFAULT_PORT
from pivotwatch_models.durations import millis, parse_duration

ROLES: tuple[Role, ...] = ("accounts", "networks", "web")
PARTITIONS = 4
POLL_SECONDS = 0.25
STUCK_SECONDS = 120.0
"""How long the workers may score nothing after the last event before the demo gives up."""


class WorkerDied(Fault):
    """A worker ended, or made no progress, while the demo ran."""


def isolated(config: Config) -> Config:
    """The configuration with unique names of topics and groups, and topics that keep old events."""
    name = f"demo-{secrets.token_hex(3)}-"
    changes = {
        "topic_prefix": name,
        "app_prefix": name + "pivotwatch",
        "requests_partitions": PARTITIONS,
        "retention": config.retention.model_copy(
            update=dict.fromkeys(("requests", "alerts"), parse_duration(0))
        ),
        # Event time is simulated, so a pause of the playback must not close buckets.
        "idle_after": parse_duration("1d"),
        "checkpoint_interval": parse_duration("5s"),
        "web_host": "127.0.0.1",
        "web_port": None,
        "web_ports": {"web": config.for_role("web").web_port or _free_port()},
        "web": {"open_as": "operator"},
    }
    return config.model_copy(update=changes)


def _free_port() -> int:
    """The default port of the page, or any free port."""
    for port in (DEFAULT_PORT, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as found:
            return int(found.getsockname()[1])
    raise OutOfReach("no free port for the page; set one with --set web_ports.web=PORT")


def run(
    config: Config, *, seed: int, speed: float, keep: bool, scenario: str = "demo", scale: float = 1.0
) -> Verdict:
    """Run the demo, and compare its alerts with the truth.

    Parameters
    ----------
    seed, scenario, scale
        See `pivotwatch.simulation.generate`.
    speed
        Seconds of event time per second; 0 means as fast as possible.
    keep
        Whether topics and groups stay on the broker.

    Raises
    ------
    OutOfReach
        When no broker answers.
    WorkerDied
        When a worker ends; the message holds the last lines of its log.
    """
    config = isolated(config)
    simulation = generate(scenario, seed=seed, scale=scale)
    display = Display(datetime.fromisoformat(simulation.releases[0]["released_at"]))
    durations: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        with _timed(durations, "topics"):
            stack.enter_context(_topics(config, keep=keep))
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pivotwatch-demo-")))
        processes = stack.enter_context(Processes(logs=logs))
        for role in ROLES:
            processes.start(role, worker_command(role), config.for_role(role).environment())
        display.say(
            f"{len(ROLES)} workers on {config.brokers}, topics {config.topic_prefix}*; "
            "the traffic contains a hidden campaign"
        )
        display.say(f"the page: http://127.0.0.1:{config.web_ports['web']}/ (while the demo runs)", "bold")
        feeds = stack.enter_context(Feeds(config, simulation, speed))
        stack.enter_context(display.running())
        alerts = _follow(config, feeds, processes, display, durations)
    with _timed(durations, "comparing with the truth"):
        verdict = compare_with_truth(alerts, simulation.truth)
    display.console.print(summary(verdict, durations, display.events), soft_wrap=True)
    return verdict


def _follow(
    config: Config, feeds: Feeds, processes: Processes, display: Display, durations: dict[str, float]
) -> list[Alert]:
    """Display messages of the feeds until the workers have scored every closed bucket."""
    alerts: list[Alert] = []
    feeds.watch()
    feeds.play()
    started = progressed = time.monotonic()
    playback_ended: float | None = None
    last_event = scored_until = 0
    while True:
        _raise_if_dead(processes)
        match feeds.next(POLL_SECONDS):
            case EventsSent(events, until):
                last_event = until
                display.sent(events, until)
            case BucketsScored(until):
                scored_until, progressed = until, time.monotonic()
                display.scored(until)
            case Alert() as alert:
                alerts.append(alert)
                display.alert(alert)
            case PlaybackEnded():
                playback_ended = progressed = time.monotonic()
                durations["playback"] = playback_ended - started
            case FeedFailed(error):
                raise error
            case None:
                pass
        if playback_ended is None:
            continue
        if _is_complete(config, scored_until, last_event):
            durations["catching up"] = time.monotonic() - playback_ended
            return alerts
        if time.monotonic() - progressed > STUCK_SECONDS:
            raise WorkerDied(
                f"the workers scored no bucket for {STUCK_SECONDS:.0f} s after the last event, so there is "
                "no result; the machine may be too busy: run the demo again (--keep keeps the topics)"
            )


def _is_complete(config: Config, scored_until: int, last_event: int) -> bool:
    """Whether the workers have scored the last bucket that the last event closes."""
    width = millis(config.bucket)
    return scored_until >= (last_event - millis(config.allowed_lateness)) // width * width


def _raise_if_dead(processes: Processes) -> None:
    end = processes.next_end(timeout=0)
    if end is not None:
        name, status = end
        lines = "\n".join(f"  {line}" for line in processes.last_lines(name))
        raise WorkerDied(f"worker {name} exited with status {status}; the last lines of its log:\n{lines}")


@contextlib.contextmanager
def _topics(config: Config, *, keep: bool) -> Iterator[None]:
    """Create the topics of the demo; at the end, delete them and the consumer groups."""
    with sync_client.admin(config) as client:
        findings = create(client, specs(config), config.brokers)
    wrong = [finding for finding in findings if not finding.ok]
    if wrong:
        raise OutOfReach(f"topic {wrong[0].topic} {wrong[0].problem}")
    try:
        yield
    finally:
        if not keep:
            with contextlib.suppress(OutOfReach), sync_client.admin(config) as client:
                _clean(client, config)


def _clean(client: KafkaAdminClient, config: Config) -> None:
    names = [group["group_id"] for group in client.list_groups()]
    groups = [name for name in names if name.startswith(config.app_prefix)]
    if groups:
        client.delete_groups(groups)
    topics = [topic for topic in client.list_topics() if topic.startswith(config.topic_prefix)]
    client.delete_topics(topics, raise_errors=False)


@contextlib.contextmanager
def _timed(durations: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    durations[name] = time.monotonic() - started
