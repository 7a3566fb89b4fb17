"""A launch with a hidden campaign, played through Kafka into real workers.

Topics and groups under a prefix of their own, workers as processes, a simulated provider
whose secrets the workers do not know; at the end what they found is held against the truth.
`feeds` plays and reads back, `display` shows, `verdict` judges.
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
from pivotwatch.base.durations import millis, parse_duration
from pivotwatch.base.errors import Fault, OutOfReach
from pivotwatch.config.config import Config, Role
from pivotwatch.contracts.alerts import Alert
from pivotwatch.demo.display import Display, summary
from pivotwatch.demo.feeds import Broken, Feeds, Played, Scored, Sent
from pivotwatch.demo.verdict import Verdict, judge
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka.topics import create, specs
from pivotwatch.web.settings import DEFAULT_PORT

ROLES: tuple[Role, ...] = ("accounts", "networks", "web")
PARTITIONS = 4
LOOK_SECONDS = 0.25
# After the last event the workers have this long without scoring anything before they count as stuck.
STUCK_SECONDS = 120.0


class WorkerDied(Fault):
    """A worker ended while the demo ran."""


def private(config: Config) -> Config:
    """The same broker, but names that nobody else has, and topics that keep events of the past."""
    name = f"demo-{secrets.token_hex(3)}-"
    changes = {
        "topic_prefix": name,
        "app_prefix": name + "pivotwatch",
        "requests_partitions": PARTITIONS,
        "retention": config.retention.model_copy(
            update=dict.fromkeys(("requests", "alerts"), parse_duration(0))
        ),
        # The simulated time is not ours: a pause of the player must not close its buckets.
        "idle_after": parse_duration("1d"),
        "checkpoint_interval": parse_duration("5s"),
        "web_host": "127.0.0.1",
        "web_port": None,
        "web_ports": {"web": config.for_role("web").web_port or _free_port()},
        "web": {"open_as": "operator"},
    }
    return config.model_copy(update=changes)


def _free_port() -> int:
    """The port that the page has by default, or any that nobody uses."""
    for port in (DEFAULT_PORT, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as found:
            return int(found.getsockname()[1])
    raise OutOfReach("no free port for the page")


def run(
    config: Config, *, seed: int, speed: float, keep: bool, scenario: str = "demo", scale: float = 1.0
) -> Verdict:
    """Play the demo and judge it.

    Parameters
    ----------
    seed, scenario, scale
        As `pivotwatch.simulation.generate` takes them.
    speed
        Seconds of event time a second; 0: as fast as possible.
    keep
        Leave topics and groups on the broker.

    Raises
    ------
    OutOfReach
        No broker.
    WorkerDied
        With the last lines of its log.
    """
    from pivotwatch.simulation import generate

    config = private(config)
    simulation = generate(scenario, seed=seed, scale=scale)
    display = Display(datetime.fromisoformat(simulation.releases[0]["released_at"]))
    stages: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        with _timed(stages, "topics"):
            stack.enter_context(_topics(config, keep=keep))
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pivotwatch-demo-")))
        processes = stack.enter_context(Processes(logs=logs))
        for role in ROLES:
            processes.start(role, worker_command(role), config.for_role(role).environment())
        display.say(
            f"{len(ROLES)} workers on {config.brokers}, topics {config.topic_prefix}*; "
            "somewhere in the traffic a campaign is hidden"
        )
        display.say(f"the page: http://127.0.0.1:{config.web_ports['web']}/ while this runs", "bold")
        feeds = stack.enter_context(Feeds(config, simulation, speed))
        stack.enter_context(display.running())
        alerts = _follow(config, feeds, processes, display, stages)
    with _timed(stages, "judging"):
        verdict = judge(alerts, simulation.truth)
    display.console.print(summary(verdict, stages, display.events), soft_wrap=True)
    return verdict


def _follow(
    config: Config, feeds: Feeds, processes: Processes, display: Display, stages: dict[str, float]
) -> list[Alert]:
    """Show what happens until everything that can be judged has been."""
    alerts: list[Alert] = []
    feeds.watch()
    feeds.play()
    started = news = time.monotonic()
    played: float | None = None
    last = scored = 0
    while True:
        _raise_if_dead(processes)
        match feeds.next(LOOK_SECONDS):
            case Sent(events, until):
                last = until
                display.sent(events, until)
            case Scored(until):
                scored, news = until, time.monotonic()
                display.judged(until)
            case Alert() as alert:
                alerts.append(alert)
                display.alert(alert)
            case Played():
                played = news = time.monotonic()
                stages["playing"] = played - started
            case Broken(error):
                raise error
            case None:
                pass
        if played is not None and _complete(config, scored, last):
            stages["catching up"] = time.monotonic() - played
            return alerts
        if played is not None and time.monotonic() - news > STUCK_SECONDS:
            raise WorkerDied(
                f"the workers have scored nothing for {STUCK_SECONDS:.0f} s after the last event: "
                "no verdict; is the machine busy? Their logs say more (--keep keeps the topics)"
            )


def _complete(config: Config, scored: int, last: int) -> bool:
    """Has the last bucket been judged that the last event could close?"""
    width = millis(config.bucket)
    return scored >= (last - millis(config.allowed_lateness)) // width * width


def _raise_if_dead(processes: Processes) -> None:
    end = processes.next_end(timeout=0)
    if end is not None:
        name, status = end
        lines = "\n".join(f"  {line}" for line in processes.last_lines(name))
        raise WorkerDied(f"worker {name} ended with status {status}; the end of its log:\n{lines}")


@contextlib.contextmanager
def _topics(config: Config, *, keep: bool) -> Iterator[None]:
    """The topics of the demo; at the end they and the groups go away again."""
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
    groups = [group["group_id"] for group in client.list_groups()]
    ours = [group for group in groups if group.startswith(config.app_prefix)]
    if ours:
        client.delete_groups(ours)
    topics = [topic for topic in client.list_topics() if topic.startswith(config.topic_prefix)]
    client.delete_topics(topics, raise_errors=False)


@contextlib.contextmanager
def _timed(stages: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    stages[name] = time.monotonic() - started
