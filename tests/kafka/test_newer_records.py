"""A record of a newer version holds scoring, and a worker that knows the version goes on."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from kafka import KafkaProducer

from tests.browser.pipeline import free_port, pipeline
from tests.kafka.engine_rig import wait_for

HOUR = 3_600_000
HEAD = {"v": 2, "p": 0, "since": 400_000, "b": 400_000, "part": 0, "parts": 1, "width": HOUR}


def page(port: int, name: str) -> tuple[int, dict[str, Any]]:
    with contextlib.suppress(OSError):
        try:
            answer: Any = urllib.request.urlopen(f"http://127.0.0.1:{port}/{name}", timeout=5)
        except urllib.error.HTTPError as error:
            answer = error
        return answer.status, json.load(answer)
    return 0, {}


@pytest.mark.parametrize("crc", [True, False], ids=["genuine", "foreign"])
def test_a_record_of_a_newer_version(broker: str, topic_prefix: str, tmp_path: Path, crc: bool) -> None:
    port = free_port()
    with pipeline(broker, topic_prefix, tmp_path, web_ports={"networks": port, "web": free_port()}) as live:
        head = HEAD | {"crc": zlib.crc32(b"{}") if crc else 7}
        with KafkaProducer(bootstrap_servers=broker) as producer:
            producer.send(f"{topic_prefix}buckets", orjson.dumps(head) + b"\n{}", partition=0)
        live.start("networks")
        if crc:
            wait_for("the hold", lambda: "upgrade networks" in page(port, "health")[1].get("held", ""))
            assert (page(port, "health")[0], page(port, "ready")[0]) == (200, 503)
        else:
            wait_for("the dead letter", lambda: live.records("dlq"))
            wait_for("the worker", lambda: page(port, "ready")[0] == 200)
            assert "held" not in page(port, "health")[1]
