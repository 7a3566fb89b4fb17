"""The testbed of fault runs: a broker, a proxy in front of it, and unused topic names."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from infra.kafka.local import LocalKafka
from infra.kafka.supervisor import free_port
from tests.chaos.fault_run import FaultRun
from tests.chaos.pipeline import Pipeline
from tests.chaos.proxy import Proxy

LISTENERS = "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"
PROTOCOLS = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT"


class BrokerTestbed:
    """A private broker (in Java, because signals stop it), reachable directly and through a proxy.

    Parameters
    ----------
    folder
        Folder for logs.
    data_dir
        Folder for the broker's data; None takes a temporary one.
    """

    def __init__(self, folder: Path, data_dir: Path | None = None) -> None:
        self.folder = folder
        direct, behind, before = free_port(), free_port(), free_port()
        self.kafka = LocalKafka(
            provider="java",
            port=direct,
            data_dir=data_dir,
            settings={
                "listeners": f"{LISTENERS},PROXIED://127.0.0.1:{behind}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{direct},PROXIED://127.0.0.1:{before}",
                "listener.security.protocol.map": PROTOCOLS,
            },
        )
        self.proxied = f"127.0.0.1:{before}"
        self.proxy = Proxy(before, behind)
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        self.kafka.start()
        self.proxy.__enter__()
        return self

    def __exit__(self, *how: object) -> None:
        self.proxy.__exit__(*how)
        self.kafka.close()

    @contextlib.contextmanager
    def fault_run(
        self, seed: int, *, partitions: int = 4, through_proxy: bool = False, **settings: Any
    ) -> Iterator[FaultRun]:
        """Yield a pipeline on new topics, and stop it afterwards."""
        number = next(self._numbers)
        folder = self.folder / str(number)
        folder.mkdir(parents=True)
        if through_proxy:
            settings["brokers"] = self.proxied
        pipeline = Pipeline(self.kafka.address, f"s{number}-", folder, partitions=partitions, **settings)
        try:
            yield FaultRun(pipeline, self.kafka, seed, proxy=self.proxy)
        finally:
            pipeline.close()
