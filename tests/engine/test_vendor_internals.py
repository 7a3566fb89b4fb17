"""Contracts with libraries: every internal of Faust, aiokafka, aiohttp and river that the code relies on.

A library may change what it does not publish. Each of these tests fails when it does, before anything
runs: an override that nobody calls any more, or an attribute that has another name, would be silent.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.web import RequestHandler
from aiokafka import AIOKafkaConsumer, conn
from aiokafka.consumer import fetcher, group_coordinator
from aiokafka.consumer.subscription_state import (
    Assignment,
    Subscription,
    SubscriptionState,
    TopicPartitionState,
)
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from faust.app.base import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from kafka.admin import KafkaAdminClient
from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch
from mode.worker import Worker
from river.base import DriftDetector
from river.drift import ADWIN

import pivotwatch
import pivotwatch_models
from pivotwatch.engine.changelog import CheckpointTable, Tables
from pivotwatch.engine.fetching import leader_epochs, unpacking
from pivotwatch.engine.fetching.chunks import ChunkScheduler
from pivotwatch.engine.fetching.consumer import FetchConsumer, FetchProducer, FetchThread, FetchTransport
from pivotwatch.engine.fetching.raw_batches import Batches
from pivotwatch.engine.http.connection import Connection
from pivotwatch.engine.kafka.deadlines import Connection as BoundedConnection
from pivotwatch.engine.runtime import RoleApp, RoleWorker
from pivotwatch_models.groups.split_detector import SplitEDetector

ROOTS = [Path(package.__file__).parent for package in (pivotwatch, pivotwatch_models)]

OVERRIDES: list[tuple[type, str]] = [
    (ChunkScheduler, "iterate"),
    (BoundedConnection, "send"),
    (FetchThread, "_create_worker_consumer"),
    (FetchThread, "_fetch_records"),
    (FetchThread, "on_start"),
    (FetchConsumer, "_filter_committable_offsets"),
    (FetchConsumer, "_commit"),
    (FetchConsumer, "_add_gap"),
    (FetchConsumer, "_getmany"),
    (FetchConsumer, "_to_message"),
    (FetchConsumer, "_new_consumer_thread"),
    (FetchConsumer, "perform_seek"),
    (FetchConsumer, "on_partitions_revoked"),
    (FetchProducer, "_settings_extra"),
    (CheckpointTable, "_serializer_from_type"),
    (CheckpointTable, "apply_changelog_batch"),
    (CheckpointTable, "on_rebalance"),
    (CheckpointTable, "on_recovery_completed"),
    (Tables, "on_start"),
    (RoleApp, "_wait_for_table_recovery_completed"),
    (RoleApp, "_create_directories"),
    (RoleApp, "on_start"),
    (RoleApp, "on_stop"),
    (RoleWorker, "_sentinel_task"),
    (RoleWorker, "stop"),
    (Connection, "_handle_request"),
    (Connection, "log_exception"),
    (SplitEDetector, "_reset"),
]
"""Methods of ours that a library must go on calling."""

ATTRIBUTES: list[tuple[type, tuple[str, ...]]] = [
    (
        AIOKafkaConsumer,
        ("_isolation_level", "_fetch_max_wait_ms", "_fetcher", "_coordinator", "_subscription", "commit"),
    ),
    (fetcher.Fetcher, ("_records",)),
    (
        fetcher.PartitionRecords,
        (
            "_tp",
            "_records",
            "_records_iterator",
            "_check_crcs",
            "_isolation_level",
            "_aborted_producers",
            "_consume_aborted_up_to",
            "_contains_abort_marker",
            "next_fetch_offset",
        ),
    ),
    (
        fetcher.FetchResult,
        (
            "_topic_partition",
            "_partition_records",
            "_update_position",
            "check_assignment",
            "has_more",
            "getall",
        ),
    ),
    (group_coordinator.GroupCoordinator, ("_send_req", "_do_heartbeat", "member_id", "_group_instance_id")),
    (SubscriptionState, ("subscription",)),
    (Subscription, ("assignment",)),
    (Assignment, ("tps", "state_value")),
    (TopicPartitionState, ("position", "has_valid_position", "timestamp", "lso", "highwater")),
    (driver.Consumer, ("_committed_offset", "scheduler", "_thread")),
    (driver.AIOKafkaConsumerThread, ("_ensure_consumer", "thread_loop")),
    (driver.Transport, ("Consumer", "Producer")),
    (App, ("boot_strategy", "rebalancing", "unassigned", "consumer_generation_id", "crash_reason")),
    (TableManager, ("recovery", "_update_channels")),
    (Recovery, ("active_highwaters", "need_recovery", "revoke")),
    (Worker, ("_schedule_shutdown",)),
    (conn.AIOKafkaConnection, ("_request_timeout",)),
    (KafkaAdminClient, ("_manager",)),
    (RequestHandler, ("_request_count", "force_close", "transport", "writing_paused")),
    (ADWIN, ("_helper", "_drift_detected")),
    (DriftDetector, ("_drift_detected", "_reset")),
]
"""Attributes of a library's objects that the code reads or sets."""

NAMED_TUPLE = {"_asdict", "_fields", "_replace"}


def vendor(kind: type, name: str) -> Callable[..., Any] | None:
    """The method that a class of ours overrides."""
    for base in kind.__mro__[1:]:
        if name in vars(base) and not base.__module__.startswith(("pivotwatch", "tests")):
            method: Callable[..., Any] = vars(base)[name]
            return method
    return None


def source(kind: type) -> str:
    """The source of a class and of the classes above it."""
    libraries = ("aiohttp", "faust", "mode", "aiokafka", "kafka", "river")
    classes = [base for base in kind.__mro__ if base.__module__.partition(".")[0] in libraries]
    return "\n".join(map(inspect.getsource, classes))


@pytest.mark.parametrize(("kind", "name"), OVERRIDES, ids=lambda part: getattr(part, "__name__", part))
def test_a_library_still_has_and_calls_what_is_overridden(kind: type, name: str) -> None:
    method = vendor(kind, name)
    assert method is not None, f"no library class above {kind.__name__} has {name}"
    theirs, ours = (list(inspect.signature(one).parameters) for one in (method, getattr(kind, name)))
    assert ours == theirs or {"args", "given"} & set(ours), f"takes {theirs} now"
    library = method.__module__.partition(".")[0]
    folder = Path(sys.modules[library].__file__ or "").parent
    called = re.compile(rf"\.{name}\b")
    assert any(called.search(path.read_text()) for path in folder.rglob("*.py")), "is called by nobody"


@pytest.mark.parametrize(("kind", "names"), ATTRIBUTES, ids=lambda part: getattr(part, "__name__", ""))
def test_a_library_still_has_the_attributes_that_are_used(kind: type, names: tuple[str, ...]) -> None:
    text = source(kind)
    for name in names:
        pattern = rf"(self\.{name}\b|\bdef {name}\b|^    {name}\s*[:=])"
        assert re.search(pattern, text, re.MULTILINE), f"{kind.__name__} has no {name} any more"


def test_a_consumer_reads_its_settings_when_it_starts() -> None:
    """They are set after it is made."""
    text = inspect.getsource(AIOKafkaConsumer.start)
    assert "isolation_level=self._isolation_level" in text
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in text


def test_a_fetcher_keeps_what_it_fetched_by_setting_items() -> None:
    """`pivotwatch.engine.fetching.raw_batches.Results` takes the place of this dictionary."""
    text = inspect.getsource(fetcher.Fetcher)
    assert re.search(r"self\._records\[\w+\] = ", text)
    assert re.search(r"getall\(", text)


def test_connections_are_made_of_a_class_that_can_be_replaced() -> None:
    """`pivotwatch.engine.kafka.deadlines` puts one there that does not wait long."""
    assert "conn = AIOKafkaConnection(" in inspect.getsource(conn.create_conn)
    library = BoundedConnection.__mro__[1]
    assert "wait_for(fut, self._request_timeout)" in inspect.getsource(vars(library)["send"])
    assert conn.AIOKafkaConnection is BoundedConnection


def test_a_fetcher_makes_its_records_with_a_class_that_can_be_replaced() -> None:
    """`pivotwatch.engine.fetching.leader_epochs` puts one there that knows the leader epochs."""
    assert "records = MemoryRecords(part_data[-1])" in inspect.getsource(fetcher.Fetcher)
    assert fetcher.MemoryRecords is leader_epochs.LoggedRecords


@pytest.mark.parametrize("codec", range(1, 5))
def test_batches_are_unpacked_by_functions_that_can_be_replaced(
    monkeypatch: pytest.MonkeyPatch, codec: int
) -> None:
    """`pivotwatch.engine.fetching.unpacking` puts bounded ones there."""
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 1 << 20)
    builder.append(0, 0, b"k", b"v" * 1_000, [])
    raw = bytes(builder.build())
    decode = unpacking.DECODERS[codec - 1]

    def told(payload: object) -> bytes:
        raise unpacking.BatchRefused("was asked")

    for module in unpacking.modules():
        if hasattr(module, decode.__name__):
            assert getattr(module, decode.__name__) is decode
            monkeypatch.setattr(module, decode.__name__, told)
    for kind in (DefaultRecordBatch, KafkaPythonBatch):
        with pytest.raises(unpacking.BatchRefused, match="was asked"):
            list(kind(raw))


def test_the_driver_takes_a_transport_with_classes_of_its_own() -> None:
    assert FetchTransport.Consumer is FetchConsumer
    assert "self.Consumer(" in source(driver.Transport)
    assert "self.Producer(" in source(driver.Transport)


def test_a_batch_of_records_is_a_batch_of_the_library() -> None:
    assert Batches.__mro__[1] is fetcher.PartitionRecords
    assert not hasattr(fetcher.PartitionRecords, "__slots__"), "its attributes are copied as a dictionary"


def private_accesses() -> Iterator[tuple[Path, str]]:
    """Private names that the code uses on objects other than its own ``self``."""
    for root in ROOTS:
        for path in root.rglob("*.py"):
            tree = ast.parse(path.read_text())
            own = {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            }
            own |= {
                node.name
                for node in ast.walk(tree)
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            }
            for node in ast.walk(tree):
                if not isinstance(node, ast.Attribute) or not re.match("_[^_]", node.attr):
                    continue
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                    continue
                if node.attr not in own | NAMED_TUPLE:
                    yield path.relative_to(root), node.attr


def test_every_internal_in_use_is_in_the_lists_above() -> None:
    known = {name for _, names in ATTRIBUTES for name in names} | {name for _, name in OVERRIDES} | {"_exit"}
    used = set(private_accesses())
    assert {name for _, name in used} <= known
    assert {path.parts[0] for path, _ in used} <= {"engine", "groups"}, (
        "vendor internals are in the engine alone"
    )
