"""``pivotwatch dlq`` on a real broker: lists dead letters with reasons, sends them again unchanged."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson
from click.testing import CliRunner

from pivotwatch.cli import main
from pivotwatch.config.config import Config
from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.engine.kafka import sync_client
from tests.kafka.engine_rig import rig

BAD = [
    Line(b"{", offset=3, key=b"acct-1", headers=(("trace", b"\x00\x01"),)),
    Line(b'[{"id":"x"},7]', offset=4),
    Line(b"x" * 950_000, offset=5, key=b"acct-2"),
    Line(None, offset=6, key=b"acct-3"),
    Line(None, offset=7),
]


def raw(config: Config, topic: str) -> list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    """Partition, key, value and headers of every record of a topic."""
    with sync_client.consumer(config) as client:
        return [
            (one.partition, one.key, one.value, [tuple(header) for header in one.headers])
            for one in sync_client.records(client, [topic], from_beginning=True, until_end=True)
        ]


def send(config: Config) -> None:
    """Send the dead letters that the counting operator makes of bad records."""
    from kafka import KafkaProducer

    step = CountingOperator(config.settings, 1, 2)
    producer = KafkaProducer(bootstrap_servers=config.bootstrap)
    for output in step.process(BAD):
        producer.send(
            config.topic("dlq"), value=output.value, key=output.key, headers=list(output.headers), partition=0
        )
    producer.close()


def test_dead_letters_are_listed_and_sent_again(broker: str, topic_prefix: str, tmp_path: Path) -> None:
    with rig(broker, topic_prefix, tmp_path) as made:
        send(made.config)
        run = CliRunner()
        flags = ["--brokers", broker, "--set", f"topic_prefix={topic_prefix}"]

        listed = run.invoke(main, ["dlq", "list", *flags])
        assert listed.exit_code == 0, listed.output
        assert "0:0  requests/1@3" in listed.output
        assert "requests/1@4[1]" in listed.output
        assert "6 dead letters" in listed.output

        lines = run.invoke(main, ["dlq", "list", "--json", *flags]).stdout.splitlines()
        first = orjson.loads(lines[0])
        assert base64.b64decode(first["value"]) == b"{"
        assert first["headers"] == [["trace", base64.b64encode(b"\x00\x01").decode()]]

        assert run.invoke(main, ["dlq", "redrive", *flags]).exit_code == 2
        assert "no dead letter 0:9" in run.invoke(main, ["dlq", "redrive", "0:9", *flags]).output
        assert raw(made.config, made.config.topic("requests")) == []

        sent = run.invoke(main, ["dlq", "redrive", "0:0", *flags])
        assert "dead letters sent again: 1" in sent.output
        ((_, key, value, headers),) = raw(made.config, made.config.topic("requests"))
        assert (key, value, headers) == (b"acct-1", b"{", [("trace", b"\x00\x01")])

        everything = run.invoke(main, ["dlq", "redrive", "--all", *flags])
        assert "only the beginning of 950000 bytes is kept" in everything.output
        assert "neither key nor value" in everything.output
        assert "dead letters sent again: 4" in everything.output
        again = raw(made.config, made.config.topic("requests"))
        assert [one for one in again if one[1] is None] == [(1, None, b'{"id":"x"}', []), (1, None, b"7", [])]
        assert [one[1:] for one in again if one[1] == b"acct-3"] == [(b"acct-3", None, [])], "null stays null"
        assert len(raw(made.config, made.config.topic("dlq"))) == 6, "dead letters stay in their topic"
