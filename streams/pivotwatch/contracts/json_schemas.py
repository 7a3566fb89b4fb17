"""The published JSON Schemas, by name: each is made from the type that its topic is written and read with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pivotwatch.contracts.alerts import alert_schema
from pivotwatch.contracts.bucket_record import bucket_schema
from pivotwatch.contracts.controls import decision_schema, release_schema
from pivotwatch.contracts.dead_letters import dead_letter_schema
from pivotwatch.contracts.events import event_schema
from pivotwatch.contracts.sessions import session_schema
from pivotwatch.contracts.status import status_schema

SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "alert": alert_schema,
    "event": event_schema,
    "release": release_schema,
    "decision": decision_schema,
    "bucket": bucket_schema,
    "status": status_schema,
    "dead-letter": dead_letter_schema,
    "session": session_schema,
}
