"""One incident in each of its states, and golden files of renderers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from pivotwatch.contracts.alerts import Alert, parse_alert
from tests.contracts.examples import alert_bytes

STATES = ("open", "updated", "resolved", "suppressed")
TRANSITIONS = {"open": "opened", "updated": "members-doubled", "resolved": "quiet", "suppressed": "benign"}
GOLDEN = Path(__file__).parent / "golden"
BASE = "https://watch.example"


def raw(state: str = "open", **changes: Any) -> bytes:
    """An alert of a state as bytes; the revision increases with the state."""
    plain: dict[str, Any] = {
        "state": state,
        "revision": STATES.index(state) + 1,
        "transition": TRANSITIONS[state],
        "dedup_key": "pivotwatch/0123456789abcdef",
        "members": ["acct-00001", "acct-00002"],
        "urls": {"runbook": f"/runbook#{TRANSITIONS[state]}", "page": "/incidents/0123456789abcdef"},
    }
    return alert_bytes(**{**plain, **changes})


def alert(state: str = "open", **changes: Any) -> Alert:
    """The same alert as a dictionary."""
    return parse_alert(raw(state, **changes))


def check_golden(name: str, document: Any) -> None:
    """Compare with the golden file; ``GOLDEN=write`` in the environment writes it."""
    path = GOLDEN / f"{name}.json"
    written = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if os.environ.get("GOLDEN") == "write":
        path.write_bytes(written)
    assert orjson.loads(path.read_bytes()) == orjson.loads(written)
