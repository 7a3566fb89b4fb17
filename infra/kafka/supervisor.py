"""The process between a caller and its broker. It cleans up after the caller, however the caller ends.

`infra.kafka.broker.LocalKafka` starts it and talks to it over a pipe, one JSON object per line. When the pipe
closes (the caller has ended, possibly by ``kill -9``) or SIGTERM arrives, the supervisor stops the broker,
removes the temporary data, and exits. After the command ``detach`` it exits only on SIGTERM or when the
broker ends.

It is started by its path, so it imports only the standard library.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

TEMPORARY = "pivotwatch-kafka-"
CLUSTER = "cGl2b3R3YXRjaC1sb2NhbA"  # a cluster id is 16 bytes in URL-safe base64
PORTS = range(20_000, 30_000)  # below the ports that systems use for outgoing connections


class CommandError(Exception):
    """A command failed; the caller gets the message."""


def free_port(avoid: int | None = None) -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    for port in random.sample(PORTS, 200):
        if port != avoid and is_free(port):
            return port
    raise CommandError("no free port on 127.0.0.1")


def is_free(port: int) -> bool:
    """Whether a server can listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def java_properties(port: int, controller_port: int, data: Path, settings: dict[str, str]) -> dict[str, str]:
    """Server properties of a single node that is broker and controller at once.

    Parameters
    ----------
    port, controller_port
        Ports of 127.0.0.1 for clients and for the controller.
    data
        Folder of the log.
    settings
        Further properties; they override the defaults. ``{port}``, ``{controller_port}`` and ``{data}`` in
        a value are replaced.

    Examples
    --------
    >>> properties = java_properties(1, 2, Path("d"), {"listeners": "SSL://127.0.0.1:{port}"})
    >>> properties["listeners"]
    'SSL://127.0.0.1:1'
    >>> properties["auto.create.topics.enable"]
    'false'
    """
    defaults = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@127.0.0.1:{controller_port}",
        "listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": "PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": "{data}/log",
        **common_properties(),
    }
    places = {"{port}": str(port), "{controller_port}": str(controller_port), "{data}": str(data)}
    merged = {**defaults, **settings}
    for key, value in merged.items():
        for place, replacement in places.items():
            value = value.replace(place, replacement)
        merged[key] = value
    return merged


def common_properties() -> dict[str, str]:
    """Server properties that a single node needs, in Java and in a container."""
    return {
        "auto.create.topics.enable": "false",
        "min.insync.replicas": "1",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # A killed broker may register again only after its old session has ended (default: 9 s).
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # Simulated records may be years old, so nothing expires by age.
        "log.retention.ms": "-1",
        # The default takes 128 MB of the heap.
        "log.cleaner.dedupe.buffer.size": "16777216",
    }


class Broker(Protocol):
    """A broker that can be started and stopped any number of times on the same data."""

    def start(self) -> dict[str, Any]:
        """Begin to start the broker, and return its port, process id and paths."""

    def end(self, *, graceful: bool) -> None:
        """Stop or kill the broker and wait until it has ended; do nothing when none runs."""

    def returncode(self) -> int | None:
        """Exit status of a broker that ended by itself, else None."""

    def discard(self) -> None:
        """Stop the broker and remove its temporary files."""


class JavaBroker:
    """A broker in a Java process on this machine.

    Parameters
    ----------
    request
        ``java``, ``jars``, ``heap``, ``port`` (None: a free one), ``data`` (None: a temporary folder, removed
        at the end), ``settings`` and ``scram`` (users and passwords).
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.temporary = request["data"] is None
        if self.temporary:
            self.data = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        else:
            self.data = Path(request["data"])
            self.data.mkdir(parents=True, exist_ok=True)
        self.port: int | None = request["port"]
        self.controller_port: int | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> dict[str, Any]:
        if self.process is not None and self.process.poll() is None:
            raise CommandError("the broker is already running")
        if self.port is None:
            self.port = free_port()
        elif not is_free(self.port):
            raise CommandError(f"port {self.port} of 127.0.0.1 is taken")
        if self.controller_port is None or not is_free(self.controller_port):
            self.controller_port = free_port(avoid=self.port)
        config = self.data / "server.properties"
        properties = java_properties(self.port, self.controller_port, self.data, self.request["settings"])
        config.write_text("".join(f"{key}={escape(value)}\n" for key, value in properties.items()))
        log = self.data / "broker.log"
        with log.open("ab") as output:
            seen = output.tell()
            if not (self.data / "log" / "meta.properties").exists():
                self._format(config, output)
            self.process = subprocess.Popen(
                [*self._java(self.request["heap"]), "kafka.Kafka", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.data,
            )
        return {
            "port": self.port,
            "pid": self.process.pid,
            "data": str(self.data),
            "log": str(log),
            "log_from": seen,
        }

    def _java(self, heap: str) -> list[str]:
        return [
            self.request["java"],
            f"-Xmx{heap}",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
            "-cp",
            os.path.join(self.request["jars"], "*"),
        ]

    def _format(self, config: Path, output: Any) -> None:
        command = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER, "--config", str(config)]
        for user, password in self.request.get("scram", {}).items():
            command += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
        done = subprocess.run(
            [*self._java("128m"), *command, "--ignore-formatted"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
        if done.returncode != 0:
            raise CommandError("Kafka could not format its data folder:\n" + tail(self.data / "broker.log"))

    def end(self, *, graceful: bool) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if graceful:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
        process.kill()  # does nothing when the process is gone
        process.wait()

    def returncode(self) -> int | None:
        return self.process.poll() if self.process is not None else None

    def discard(self) -> None:
        self.end(graceful=not self.temporary)
        if self.temporary:
            shutil.rmtree(self.data, ignore_errors=True)


class ComposeBroker:
    """A broker in a container, run by ``docker compose``. Its data end with the container.

    Parameters
    ----------
    request
        ``compose`` (path of the file), ``heap``, ``port`` (None: a free one) and ``settings``.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.port: int = request["port"] or free_port()
        self.project = f"{TEMPORARY}{uuid.uuid4().hex[:12]}"
        self.folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        variables = {**common_properties(), **request["settings"]}
        lines = (f"{environment_name(key)}={value}\n" for key, value in variables.items())
        (self.folder / "env").write_text("".join(lines))
        self.environment = {
            **os.environ,
            "PIVOTWATCH_KAFKA_PORT": str(self.port),
            "PIVOTWATCH_KAFKA_HEAP": request["heap"],
            "PIVOTWATCH_KAFKA_ENV_FILE": str(self.folder / "env"),
        }

    def start(self) -> dict[str, Any]:
        self._compose("up", "--detach", "--wait")
        return {"port": self.port, "pid": None, "data": None, "log": None, "log_from": 0}

    def _compose(self, *arguments: str) -> None:
        done = subprocess.run(
            ["docker", "compose", "-p", self.project, "-f", self.request["compose"], *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = "\n".join(done.stdout.strip().splitlines()[-20:])
            raise CommandError(f"docker compose {arguments[0]} failed:\n{lines}")

    def end(self, *, graceful: bool) -> None:
        self._compose("stop" if graceful else "kill")

    def returncode(self) -> int | None:
        return None

    def discard(self) -> None:
        try:
            self._compose("down", "--volumes", "--timeout", "1")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def environment_name(key: str) -> str:
    """Name of the environment variable that sets a server property in the Kafka image.

    Examples
    --------
    >>> environment_name("message.max.bytes")
    'KAFKA_MESSAGE_MAX_BYTES'
    >>> environment_name("listener.name.sasl_ssl.x-y")
    'KAFKA_LISTENER_NAME_SASL__SSL_X___Y'
    """
    return "KAFKA_" + key.replace("_", "__").replace("-", "___").replace(".", "_").upper()


def escape(value: str) -> str:
    r"""Escape a value for a Java properties file.

    Examples
    --------
    >>> print(escape("a\nb\\c"))
    a\nb\\c
    """
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a file, or the error when it cannot be read."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError as error:
        return str(error)


class StopRequested(Exception):
    """A signal asked the supervisor to stop."""


class Supervisor:
    """Reads commands from standard input, answers on standard output, and cleans up at the end.

    Parameters
    ----------
    broker
        The broker to start and stop.
    parent
        Process id of the caller, as a second way to notice that it has ended.
    """

    def __init__(self, broker: Broker, parent: int) -> None:
        self.broker = broker
        self.parent = parent
        self.detached = False
        self.state: Path | None = None
        self.buffer = b""

    def run(self) -> None:
        """Serve until the caller has ended, a signal arrives, or a detached broker has ended."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signalled)
        try:
            while (line := self._next_line()) is not None:
                self._answer(line)
            if self.detached:
                self._stay()
        except StopRequested:
            pass
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self.broker.discard()
            if self.state is not None:
                self.state.unlink(missing_ok=True)

    def _stay(self) -> None:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):  # a reader of the caller's output must not wait for this process
            os.dup2(nowhere, descriptor)
        while self.broker.returncode() is None:
            time.sleep(0.2)

    @staticmethod
    def _signalled(number: int, frame: FrameType | None) -> None:
        raise StopRequested

    def _next_line(self) -> bytes | None:
        while b"\n" not in self.buffer:
            if self.detached or os.getppid() != self.parent:
                return None
            if not select.select([0], [], [], 0.5)[0]:
                self.broker.returncode()  # collects the exit status of a broker that died
                continue
            part = os.read(0, 65536)
            if not part:
                return None
            self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def _answer(self, line: bytes) -> None:
        try:
            answer = self._do(json.loads(line))
        except (CommandError, OSError) as error:
            answer = {"error": str(error)}
        with contextlib.suppress(BrokenPipeError):  # the caller has ended: the next read notices it
            os.write(1, json.dumps(answer).encode() + b"\n")

    def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "start":
                return self.broker.start()
            case "stop":
                self.broker.end(graceful=True)
            case "kill":
                self.broker.end(graceful=False)
            case "poll":
                return {"returncode": self.broker.returncode()}
            case "detach":
                state = Path(command["state"])
                beside = state.with_suffix(".part")
                beside.write_text(json.dumps({**command["content"], "supervisor": os.getpid()}))
                beside.rename(state)
                self.state, self.detached = state, True
            case other:
                raise CommandError(f"unknown command: {other}")
        return {}


def main() -> None:
    """Read the request and the caller's process id from the command line, and serve."""
    request = json.loads(sys.argv[1])
    broker: Broker = JavaBroker(request) if request["provider"] == "java" else ComposeBroker(request)
    Supervisor(broker, int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
