"""The local Kafka: it serves clients, keeps its data over a restart, and cleans up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from infra.kafka import java
from infra.kafka.local import COMPOSE, BrokerError, LocalKafka
from tests.kafka.conftest import MakeTopic

ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


def produce(address: str, topic: str, values: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=address, acks="all")
    for sent in [producer.send(topic, value) for value in values]:
        sent.get(30)
    producer.close()


def consume(address: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest")
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    values: list[bytes] = []
    deadline = time.monotonic() + 60
    while len(values) < count and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=200).values():
            values += [record.value for record in records]
    consumer.close()
    return values


def create(address: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics([NewTopic(topic, 1, 1)])
    admin.close()


def command_line(
    *arguments: str, environment: Mapping[str, str | None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m infra.kafka.local``; an environment variable that is None is removed."""
    changed = {**os.environ, "PIVOTWATCH_BROKERS": None, **(environment or {})}
    return subprocess.run(
        [sys.executable, "-m", "infra.kafka.local", *arguments],
        cwd=ROOT,
        env={key: value for key, value in changed.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def script(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n" + text)
    (folder / name).chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str | None]:
    """An environment without Java, Maven, Docker, jars and broker."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "JAVA_HOME": None, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_the_broker_stores_records(broker: str, make_topic: MakeTopic) -> None:
    topic = make_topic("records")
    produce(broker, topic, [b"a", b"b"])
    assert consume(broker, topic, 2) == [b"a", b"b"]


def kill_from_outside(kafka: LocalKafka) -> None:
    os.kill(kafka.pid or 0, signal.SIGKILL)
    wait_until(lambda: not kafka.running)


@pytest.mark.parametrize(
    "end",
    [
        LocalKafka.stop,
        pytest.param(LocalKafka.kill, marks=pytest.mark.long),
        pytest.param(kill_from_outside, marks=pytest.mark.long),
    ],
)
def test_a_restart_keeps_port_and_records(tmp_path: Path, end: Callable[[LocalKafka], None]) -> None:
    data = tmp_path / "data"
    with LocalKafka(data_dir=data, settings={"message.max.bytes": "3000000"}) as kafka:
        address, first = kafka.address, kafka.pid
        assert first is not None
        assert alive(first)
        create(address, "t")
        produce(address, "t", [b"before"])

        end(kafka)
        assert not kafka.running
        assert not alive(first)
        assert kafka.start() == address
        assert kafka.start() == address, "a second start changes nothing"
        last = kafka.pid
        assert last != first
        produce(address, "t", [b"between"])
        assert consume(address, "t", 2) == [b"before", b"between"]
    assert last is not None
    assert not alive(last)
    assert "message.max.bytes=3000000" in (data / "server.properties").read_text()
    kafka.close()


def test_a_taken_port_is_reported(broker: str) -> None:
    port = int(broker.rsplit(":", 1)[1])
    with pytest.raises(BrokerError, match=f"port {port} of 127.0.0.1 is taken"):
        LocalKafka(port=port, provider="java").__enter__()


def test_a_broker_that_cannot_start_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(BrokerError, match=r"num\.network\.threads"):
        LocalKafka(provider="java", settings={"num.network.threads": "none"}).__enter__()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_kill_9_of_the_caller_leaves_no_process_and_no_folder() -> None:
    text = (
        "import time\n"
        "from infra.kafka.local import LocalKafka\n"
        "kafka = LocalKafka(provider='java')\n"
        "kafka.start()\n"
        "print(kafka.pid, kafka.data_dir, flush=True)\n"
        "time.sleep(600)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    pid, folder = caller.stdout.readline().split()
    assert alive(int(pid))
    assert Path(folder).is_dir()
    caller.kill()
    caller.wait()
    caller.stdout.close()
    wait_until(lambda: not alive(int(pid)) and not Path(folder).exists())


def test_run_passes_the_address_and_the_exit_status(tmp_path: Path) -> None:
    told = tmp_path / "told"
    text = (
        "import os, pathlib, signal, sys\n"
        "pathlib.Path(sys.argv[1]).write_text(os.environ['PIVOTWATCH_BROKERS'])\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = command_line("run", "--", sys.executable, "-c", text, str(told))
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    host, _, port = told.read_text().partition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


@pytest.fixture
def separate(tmp_path: Path) -> Iterator[dict[str, str | None]]:
    """An environment in which ``up`` does not see the user's own broker."""
    environment: dict[str, str | None] = {"XDG_RUNTIME_DIR": str(tmp_path)}
    yield environment
    command_line("down", environment=environment)


def test_up_status_down(separate: dict[str, str | None]) -> None:
    assert command_line("status", environment=separate).returncode == 1
    started = command_line("up", "--with", "java", environment=separate)
    assert started.returncode == 0, started.stderr
    address = started.stdout.strip()
    again = command_line("up", "--with", "java", environment=separate)
    assert (again.returncode, again.stdout.strip()) == (0, address)
    shown = command_line("status", "--json", environment=separate)
    assert shown.returncode == 0
    state = json.loads(shown.stdout)
    assert state["address"] == address
    create(address, "t")

    assert command_line("down", environment=separate).returncode == 0
    assert not alive(state["pid"])
    assert not Path(state["data"]).exists()
    assert command_line("status", environment=separate).returncode == 1
    assert command_line("down", environment=separate).returncode == 0


@pytest.mark.long
def test_leftovers_of_a_killed_supervisor_are_found_and_removed(separate: dict[str, str | None]) -> None:
    assert command_line("up", "--with", "java", environment=separate).returncode == 0
    state = json.loads(command_line("status", "--json", environment=separate).stdout)
    os.kill(state["supervisor"], signal.SIGKILL)
    wait_until(lambda: not alive(state["supervisor"]))
    shown = command_line("status", environment=separate)
    assert shown.returncode == 1
    assert "left its data" in shown.stderr
    assert command_line("down", environment=separate).returncode == 0
    wait_until(lambda: not alive(state["pid"]))
    assert not Path(state["data"]).exists()


def test_without_java_and_maven_it_says_what_to_install(bare: dict[str, str | None]) -> None:
    done = command_line("run", "--", "true", environment=bare)
    assert done.returncode == 3
    assert done.stderr.count("Missing here: Java and Maven.") == 1
    assert "apt-get install default-jre-headless maven" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_java_that_is_too_old_is_reported(bare: dict[str, str | None], tmp_path: Path) -> None:
    script(tmp_path / "bin", "java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2\n""")
    script(tmp_path / "bin", "mvn", "exit 1\n")
    done = command_line("up", environment={**bare, "XDG_RUNTIME_DIR": str(tmp_path)})
    assert done.returncode == 3
    assert "The Java here is 11" in done.stderr


def test_an_address_in_the_environment_wins(bare: dict[str, str | None]) -> None:
    given = {**bare, "PIVOTWATCH_BROKERS": "kafka.example:9092"}
    text = "import os; print(os.environ['PIVOTWATCH_BROKERS'])"
    for arguments in (["run", "--", sys.executable, "-c", text], ["up"], ["status"]):
        done = command_line(*arguments, environment=given)
        assert (done.returncode, done.stdout.strip()) == (0, "kafka.example:9092"), done.stderr


def test_concurrent_callers_fetch_the_jars_once(bare: dict[str, str | None], tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    script(tmp_path / "bin", "java", """echo 'openjdk version "21" 2023-09-19' >&2\n""")
    script(
        tmp_path / "bin",
        "mvn",
        f'echo call >> "{calls}"\nfor word; do case "$word" in -DoutputDirectory=*) '
        'echo jar > "${word#*=}/kafka.jar";; esac; done\n',
    )
    left = Path(str(bare["XDG_CACHE_HOME"])) / "pivotwatch" / "jars-dead.part"
    left.mkdir(parents=True)
    text = "from infra.kafka import java; print(java.require()[1])"
    environment = {**os.environ, **bare}
    callers = [
        subprocess.Popen(
            [sys.executable, "-c", text],
            cwd=ROOT,
            env={key: value for key, value in environment.items() if value is not None},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    folders = {caller.communicate(timeout=60)[0].strip() for caller in callers}
    assert len(folders) == 1
    assert [file.name for file in Path(folders.pop()).iterdir()] == ["kafka.jar"]
    assert calls.read_text() == "call\n"
    assert not left.exists()


def test_a_failed_fetch_of_jars_is_reported_and_leaves_nothing(
    bare: dict[str, str | None], tmp_path: Path
) -> None:
    script(tmp_path / "bin", "java", """echo 'openjdk version "21" 2023-09-19' >&2\n""")
    script(tmp_path / "bin", "mvn", "echo no route to host; exit 1\n")
    done = command_line("run", "--", "true", environment=bare)
    assert done.returncode == 3
    assert "no route to host" in done.stderr
    assert sorted(path.name for path in (tmp_path / "cache" / "pivotwatch").iterdir()) == ["jars.lock"]


def test_docker_compose_gets_the_right_commands(
    bare: dict[str, str | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for ``docker`` records the commands, so no daemon is needed."""
    calls = tmp_path / "calls"
    script(
        tmp_path / "bin",
        "docker",
        f'case "$1 $2" in "compose -p") shift 4;; esac\n'
        f'case "$2" in "") echo "$1";; up|kill|stop|down|version) echo "compose $2";; esac >> "{calls}"\n'
        f'case "$2" in up) echo "port=$PIVOTWATCH_KAFKA_PORT" >> "{calls}"; '
        f'while read -r line; do echo "$line" >> "{calls}"; done < "$PIVOTWATCH_KAFKA_ENV_FILE";; esac\n',
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with LocalKafka(port=21_999, settings={"message.max.bytes": "5"}) as kafka:
        assert kafka.address == "127.0.0.1:21999"
        kafka.kill()
        kafka.start()
        kafka.stop()
    lines = calls.read_text().splitlines()
    assert [line for line in lines if "=" not in line] == [
        *(
            "info",
            "compose version",
            "compose up",
            "compose kill",
            "compose up",
            "compose stop",
            "compose down",
        ),
    ]
    assert "port=21999" in lines
    assert "KAFKA_MESSAGE_MAX_BYTES=5" in lines
    assert "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0" in lines
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("pivotwatch-kafka-")] == []


def test_the_compose_file_has_the_same_version_of_kafka() -> None:
    assert f"image: apache/kafka:{java.kafka_version()}\n" in COMPOSE.read_text()


def has_compose() -> bool:
    command = ["docker", "compose", "version"]
    return (
        shutil.which("docker") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not has_compose(), reason="the compose plugin of Docker is not here")
def test_compose_file_is_valid() -> None:
    command = ["docker", "compose", "-f", str(COMPOSE), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
