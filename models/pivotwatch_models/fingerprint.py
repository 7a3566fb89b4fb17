"""Two fingerprints: of what a stored state depends on, and of what decides alerts.

A worker continues a stored state only under the same state fingerprint. An alert's id contains the decision
fingerprint, so a recount under other settings cannot give an earlier id to other content.

The decision fingerprint covers everything. The state fingerprint leaves out what is applied to the stored
numbers again in every bucket:

=============== ===================================================================================
setting         where it is applied
=============== ===================================================================================
`min_events`    when the counting step reports an account finding; its state keeps all of them
`min_members`   when a group begins to be watched, and when an incident opens; a group that is watched stays
`alert_budget`  when a score is compared with the threshold
=============== ===================================================================================

`theta` is in the state fingerprint: a group's stored score is evidence against the limit under which it was
computed. So are the width of a bucket, the watch, the lateness, the aliases and the attributes: they decide
what is counted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from pivotwatch_models.method import METHOD, Method
from pivotwatch_models.settings import Settings

DECISION_SETTINGS = ("alert_budget", "min_events", "min_members")
"""Settings that may change under a stored state."""


def state_fingerprint(settings: Settings, method: Method = METHOD) -> str:
    """Sixteen hex digits of what a stored state depends on.

    Examples
    --------
    >>> same = Settings(min_members=5, alert_budget=1e-3)
    >>> state_fingerprint(same) == state_fingerprint(Settings())
    True
    >>> state_fingerprint(Settings(theta=2.0)) == state_fingerprint(Settings())
    False
    """
    fields = dataclasses.asdict(settings)
    kept = {name: value for name, value in fields.items() if name not in DECISION_SETTINGS}
    return _digest({"settings": kept, "method": dataclasses.asdict(method.state)})


def decision_fingerprint(settings: Settings, method: Method = METHOD) -> str:
    """Sixteen hex digits of everything that decides alerts.

    Examples
    --------
    >>> decision_fingerprint(Settings(min_members=5)) == decision_fingerprint(Settings())
    False
    """
    return _digest({"settings": dataclasses.asdict(settings), "method": dataclasses.asdict(method)})


def earlier_state_fingerprints(settings: Settings) -> tuple[str, ...]:
    """Fingerprints under which earlier programs stored a state that this program continues.

    Before the constants were part of it, a fingerprint was that of the settings alone, all of them. The
    constants of those programs are version 1 of the method's state.
    """
    if METHOD.state.version != 1:
        return ()
    fields = dataclasses.asdict(settings)
    del fields["attributes"]  # Those programs had no such setting.
    return (_digest(fields),)


def _digest(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
