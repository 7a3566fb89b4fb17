"""Starts a private Kafka broker on 127.0.0.1, in a Java process or in a container."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from infra.kafka import java, supervisor

BROKERS = "PIVOTWATCH_BROKERS"
COMPOSE = Path(__file__).with_name("compose.yaml")

Provider = Literal["auto", "java", "docker"]


class BrokerError(Exception):
    """The broker could not be started, stopped or killed."""


class LocalKafka:
    """A private Kafka broker on 127.0.0.1.

    A supervisor process runs between this object and the broker. It stops the broker and removes temporary
    data when the object is closed, and also when this process ends in any other way, including ``kill -9``.

    Parameters
    ----------
    port
        Port of 127.0.0.1 on which the broker listens; None takes a free port. It stays the same for the
        life of the object.
    data_dir
        Folder for the broker's data, kept when the object is closed. None takes a temporary folder, which
        is removed on close. Java only.
    settings
        Further server properties; they override the defaults. ``{port}``, ``{controller_port}`` and
        ``{data}`` in a value are replaced (Java only).
    provider
        ``"java"``, ``"docker"``, or ``"auto"``: Docker if a daemon answers, else Java
        (always Java with ``data_dir``).
    heap
        Maximum size of the Java heap.
    scram
        Users of SCRAM-SHA-512 and their passwords, created together with the data. Java only.

    Attributes
    ----------
    pid : int or None
        Process id of the broker while it runs in Java. SIGSTOP and SIGCONT may be sent to it.
    log_file : Path or None
        The broker's log, in its data folder (Java only).

    Examples
    --------
    ::

        with LocalKafka() as kafka:
            produce(kafka.address)
            kafka.kill()  # like kill -9; the data stay
            kafka.start()  # the same port, the same records

    Methods block; use ``asyncio.to_thread`` in a coroutine.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        settings: Mapping[str, str] | None = None,
        provider: Provider = "auto",
        heap: str = "512m",
        scram: Mapping[str, str] | None = None,
    ) -> None:
        self._request: dict[str, Any] = {
            "port": port,
            "data": None if data_dir is None else os.path.abspath(data_dir),
            "settings": dict(settings or {}),
            "heap": heap,
            "scram": dict(scram or {}),
            "compose": str(COMPOSE),
        }
        if provider == "docker" and data_dir is not None:
            raise ValueError("data_dir needs Java: in a container the data end with the container")
        if provider == "docker" and scram:
            raise ValueError("scram needs Java")
        self._provider: Provider = "java" if data_dir is not None or scram else provider
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._inherited: tuple[int, ...] = ()  # file descriptors that the supervisor keeps open
        self._up: dict[str, Any] = {}
        self._running = False

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``, known after the first start."""
        return f"127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The port that clients use, known after the first start."""
        if not self._up:
            raise BrokerError("the broker has not been started")
        return int(self._up["port"])

    @property
    def pid(self) -> int | None:
        """Process id of the broker while it runs in Java."""
        return self._up.get("pid") if self._running else None

    @property
    def data_dir(self) -> Path | None:
        """Folder of the broker's data (Java only)."""
        return Path(self._up["data"]) if self._up.get("data") else None

    @property
    def log_file(self) -> Path | None:
        """The broker's log (Java only)."""
        return Path(self._up["log"]) if self._up.get("log") else None

    @property
    def running(self) -> bool:
        """Whether the broker runs (in a container: it was started, and not stopped or killed since)."""
        return self._running and self._ask("poll")["returncode"] is None

    def start(self, timeout: float = 120.0) -> str:
        """Start the broker, for the first time or again, and wait until it accepts clients.

        Returns
        -------
        str
            The address.

        Raises
        ------
        Unavailable
            When this machine has neither Docker nor Java with Maven.
        BrokerError
            When the broker does not start; the message holds the end of its log.
        """
        if self.running:
            return self.address
        self._running = False
        deadline = time.monotonic() + timeout
        if self._supervisor is None:
            self._supervise()
        for attempts_left in (2, 1, 0):
            self._up = self._ask("start")
            if self._wait_until_up(deadline, last=attempts_left == 0):
                break
        self._running = True
        return self.address

    def stop(self) -> None:
        """Stop the broker with SIGTERM and wait until it has ended. The data stay."""
        if self._running:
            self._running = False
            self._ask("stop")

    def kill(self) -> None:
        """Kill the broker with ``kill -9`` and wait until it has ended. The data stay."""
        if self._running:
            self._running = False
            self._ask("kill")

    def close(self) -> None:
        """Stop the broker and its supervisor and remove temporary data. May be called more than once."""
        process, self._supervisor = self._supervisor, None
        self._running = False
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            raise BrokerError("the supervisor of the local Kafka did not end within 90 s") from None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _supervise(self) -> None:
        provider = self._provider
        if provider == "auto":
            provider = "docker" if docker_answers() else "java"
        if provider == "java":
            path, jars = java.require()
            self._request.update(java=path, jars=str(jars))
        self._request["provider"] = provider
        # -I: only the standard library. A new session: Ctrl-C reaches the caller alone.
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", supervisor.__file__, json.dumps(self._request), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            pass_fds=self._inherited,
        )

    def _ask(self, do: str, **more: Any) -> dict[str, Any]:
        process = self._supervisor
        if process is None:
            raise BrokerError("the local Kafka is closed")
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise BrokerError("the supervisor of the local Kafka has ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BrokerError(answer["error"])
        return answer

    def _wait_until_up(self, deadline: float, *, last: bool) -> bool:
        """Whether the broker started; False when another process took its port and a retry is possible."""
        if self._up["log"] is None:  # docker compose has already waited
            return True
        log = Path(self._up["log"])
        while True:
            with log.open("rb") as file:
                file.seek(self._up["log_from"])
                text = file.read()
            if b"Kafka Server started" in text and connects(self._up["port"]):
                return True
            if (code := self._ask("poll")["returncode"]) is not None:
                if b"Address already in use" in text and self._request["port"] is None and not last:
                    return False
                raise BrokerError(f"Kafka ended with exit status {code}:\n{supervisor.tail(log)}")
            if time.monotonic() > deadline:
                self._ask("kill")
                raise BrokerError(f"Kafka did not start in time:\n{supervisor.tail(log)}")
            time.sleep(0.05)

    # Used by `up`, which leaves a broker running.

    def _detach(self, state: Path) -> None:
        content = {
            "address": self.address,
            "pid": self.pid,
            "data": self._up["data"],
            "log": self._up["log"],
            "temporary": self._request["data"] is None,
        }
        self._ask("detach", state=str(state), content=content)
        assert self._supervisor is not None
        self._supervisor.returncode = 0  # Popen must not wait for it any more
        self._supervisor = None


def connects(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def docker_answers() -> bool:
    """Whether a Docker daemon answers and the compose plugin is installed."""
    if shutil.which("docker") is None:
        return False
    try:
        return all(
            subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
            for command in (["docker", "info"], ["docker", "compose", "version"])
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextlib.contextmanager
def broker_address(**options: Any) -> Iterator[str]:
    """Yield the address of a broker: ``PIVOTWATCH_BROKERS`` if set, else of a broker started here.

    Parameters
    ----------
    **options
        Passed to `LocalKafka`.
    """
    if given := os.environ.get(BROKERS):
        yield given
        return
    with LocalKafka(**options) as kafka:
        yield kafka.address
