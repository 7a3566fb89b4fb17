"""The example consumer of streams/pivotwatch/formats/README.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from kafka import KafkaProducer

from tests.formats.examples import raw
from tests.kafka.conftest import MakeTopic
from tests.kafka.engine_rig import ROOT


def test_the_example_prints_each_alert_once(
    broker: str, make_topic: MakeTopic, topic_prefix: str, tmp_path: Path
) -> None:
    [code] = re.findall(
        r"```python\n(.*?)```", (ROOT / "streams/pivotwatch/formats/README.md").read_text(), re.DOTALL
    )
    topic = make_topic("alerts")
    with KafkaProducer(bootstrap_servers=broker, acks="all") as producer:
        for record in (raw("open"), raw("open"), raw("updated")):
            producer.send(
                topic, record.replace(b'"datacontenttype"', b'"subject":"network/AS64500","datacontenttype"')
            )
        producer.flush()
    program = tmp_path / "program.py"
    program.write_text(code.replace('"alerts"', f'"{topic}"').replace("my-program", f"{topic_prefix}program"))
    environment = {**os.environ, "PIVOTWATCH_BROKERS": broker, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, str(program)], env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(2)]
        running.terminate()
    assert lines == [
        "io.pivotwatch.alert.opened critical network/AS64500 412\n",
        "io.pivotwatch.alert.updated critical network/AS64500 412\n",
    ]
