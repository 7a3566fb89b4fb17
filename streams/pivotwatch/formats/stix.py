"""STIX 2.1, for sharing with others: a person exports it, no target receives it.

A bundle says which networks were seen and when. Accounts are people, so it has their ids only on request.
Needs the extra ``pivotwatch[stix]``.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from typing import TYPE_CHECKING, Any

from pivotwatch.base.display import counted
from pivotwatch.base.errors import WrongUse
from pivotwatch.base.outside_text import visible
from pivotwatch.contracts.alerts import Alert, AlertData
from pivotwatch.formats.readable import readable
from pivotwatch.formats.summary import LONGEST_NAME, cut

if TYPE_CHECKING:
    import stix2

NAMESPACE = uuid.UUID("6f2c1f5e-7d0a-4c59-9a55-0d1c8f6b1c5e")
MOST_OBSERVED = 999_999_999
MARKINGS = ("white", "green", "amber", "red")
_AS_NUMBER = re.compile(r"AS(\d{1,10})", re.IGNORECASE)


def render(alert: Alert, *, marking: str = "amber", with_accounts: bool = False) -> stix2.v21.Bundle:
    """The bundle: what was observed, and a grouping that says why it is suspicious.

    The same alert gives the same ids, so an export can be repeated.

    Raises
    ------
    WrongUse
        When the library is not installed, or the alert has nothing that may be shared.
    """
    try:
        from stix2 import v21
    except ImportError:
        raise WrongUse("STIX needs a library: pip install 'pivotwatch[stix]'") from None
    alert = readable(alert, visible)
    data = alert.data
    observed = [thing for group in _groups(data) if (thing := _network(v21, group)) is not None]
    if with_accounts:
        observed += [v21.UserAccount(user_id=member) for member in data.members]
    if not observed:
        raise WrongUse(
            f"alert {data.alert_id} names no network, and accounts are shared only with --with-accounts"
        )
    return v21.Bundle(*_report(v21, alert, observed, marking), *observed)


def _report(v21: Any, alert: Alert, observed: list[Any], marking: str) -> list[Any]:
    data = alert.data
    tlp = getattr(v21, f"TLP_{marking.upper()}")
    common = {"created": data.onset, "modified": data.detected_at, "object_marking_refs": [tlp.id]}
    author = v21.Identity(
        id=_id("identity", "pivotwatch"),
        name="pivotwatch",
        identity_class="system",
        created="2026-01-01T00:00:00Z",
        modified="2026-01-01T00:00:00Z",
    )
    seen = v21.ObservedData(
        id=_id("observed-data", data.alert_id),
        created_by_ref=author.id,
        first_observed=data.onset,
        last_observed=data.detected_at,
        number_observed=min(max(data.exchanges_to_model, 1), MOST_OBSERVED),
        object_refs=[thing.id for thing in observed],
        **common,
    )
    why = v21.Grouping(
        id=_id("grouping", data.alert_id),
        created_by_ref=author.id,
        name=f"Accounts that switched to {cut(data.model, LONGEST_NAME)} together",
        description=_description(data),
        context="suspicious-activity",
        object_refs=[seen.id, *(thing.id for thing in observed)],
        **common,
    )
    return [tlp, author, seen, why]


def _description(data: AlertData) -> str:
    """Figures only: titles and reasons may contain what must not be shared."""
    model = cut(data.model, LONGEST_NAME)
    return (
        f"{counted(data.members_total, 'account')} switched to {model} faster than all other "
        f"accounts explain, and had {counted(data.exchanges_to_model, 'exchange')} with it."
    )


def _groups(data: AlertData) -> list[tuple[str, str]]:
    return sorted({(group.kind, group.id) for group in [data.entity, *data.groups]})


def _network(v21: Any, group: tuple[str, str]) -> Any | None:
    """A network as a STIX object; None for other kinds of groups, which are not shared."""
    kind, name = group
    if kind != "network":
        return None
    if match := _AS_NUMBER.fullmatch(name):
        return v21.AutonomousSystem(number=int(match[1]))
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        return None
    kinds = {4: v21.IPv4Address, 6: v21.IPv6Address}
    return kinds[network.version](value=str(network) if "/" in name else name)


def _id(kind: str, name: str) -> str:
    return f"{kind}--{uuid.uuid5(NAMESPACE, f'{kind}/{name}')}"
