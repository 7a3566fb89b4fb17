"""``pivotwatch sessions``."""

from __future__ import annotations

import getpass

import click
from msgspec.structs import asdict

from pivotwatch.base.display import clock_time, counted
from pivotwatch.base.outside_text import visible
from pivotwatch.cli.commands import Group
from pivotwatch.cli.options import echo, echo_json, json_option, note, with_brokers
from pivotwatch.config.config import Config
from pivotwatch.contracts.codec import encode
from pivotwatch.contracts.sessions import Session, person_key
from pivotwatch.engine.kafka import sync_client


@click.group(cls=Group, short_help="List or end sessions of the page.", example="pivotwatch sessions end kim")
def sessions() -> None:
    """List or end sessions of the page. It needs the rights of the Kafka user of the role `web`."""


@sessions.command("list", short_help="List sessions.", example="pivotwatch sessions list --json")
@json_option
@with_brokers
def list_sessions(config: Config, as_json: bool) -> None:
    """List the sessions that have neither ended nor expired, the newest first.

    A session is listed until it expires, even when its person is no longer in the configuration: the
    page does not accept it then.
    """
    found = _read(config)
    for ident, one in found:
        if as_json:
            fields = asdict(one)
            del fields["tag"]
            echo_json(encode({"id": ident} | fields))
        else:
            name = visible(one.name)
            echo(f"{name}  {one.role}  {one.method}  {clock_time(one.begun)} to {clock_time(one.ends)}")
    note(f"{len(found)} sessions")


@sessions.command(
    short_help="End all sessions of persons.", example="pivotwatch sessions end kim lee@example.com"
)
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "everybody", is_flag=True, help="End the sessions of everybody.")
@with_brokers
def end(config: Config, *, names: tuple[str, ...], everybody: bool) -> None:
    """End all sessions of persons. They have to log in again.

    Whoever still has a valid token can do so: remove the person from the configuration first.
    """
    if bool(names) == everybody:
        raise click.UsageError("name persons, or give --all")
    from pivotwatch.tools.acknowledged_send import send
    from pivotwatch.web.sessions import signature

    live = {one.name for _, one in _read(config)}
    if unknown := set(names) - live:
        note(f"no session now: {', '.join(sorted(unknown))}")
    headers = signature(f"{getpass.getuser()} (command line)")
    chosen = sorted(live if everybody else set(names))
    topic = config.topic("sessions")
    send(config, ({"topic": topic, "key": person_key(name), "headers": headers} for name in chosen))
    note(f"ended the sessions of {counted(len(chosen), 'person', 'persons')}")


def _read(config: Config) -> list[tuple[str, Session]]:
    from pivotwatch.web.sessions import Sessions

    found, topic = Sessions(), config.topic("sessions")
    with sync_client.consumer(config) as client:
        for record in sync_client.records(client, [topic], from_beginning=True, until_end=True):
            found.take(record.offset, record.key, record.value)
    return found.every()
