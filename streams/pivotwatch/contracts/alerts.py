"""The alert: one type that the pipeline writes, every reader reads, and the JSON Schema describes.

An alert is a CloudEvents 1.0 object in structured mode. A consumer may read only the fields it needs:
fields may be added, none is removed or changes its meaning. A figure that is not known is null.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import orjson
from msgspec import Meta, Struct

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alert_evidence import GROUPS_SHOWN, MEMBERS_SHOWN, Evidence
from pivotwatch.contracts.codec import MAX_NUMBER, Count, Moment, Text, check_moments, json_schema, parser
from pivotwatch.contracts.entity import Entity
from pivotwatch_models.incidents.terms import Severity, State

SOURCE = "/pivotwatch"

AlertType = Literal[
    "io.pivotwatch.alert.opened",
    "io.pivotwatch.alert.updated",
    "io.pivotwatch.alert.resolved",
    "io.pivotwatch.alert.suppressed",
]

TYPES: dict[State, AlertType] = {
    "open": "io.pivotwatch.alert.opened",
    "updated": "io.pivotwatch.alert.updated",
    "resolved": "io.pivotwatch.alert.resolved",
    "suppressed": "io.pivotwatch.alert.suppressed",
}

Serial = Annotated[int, Meta(ge=1, le=MAX_NUMBER)]
Key = Annotated[str, Meta(min_length=1, max_length=255)]
AlertId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]


class Urls(Struct, frozen=True, kw_only=True):
    """Where to read on; a path is relative to the address of the page."""

    runbook: Annotated[str | None, Meta(description="What to do about this transition.")] = None
    page: Annotated[str | None, Meta(description="The incident on the page.")] = None


class AlertData(Struct, frozen=True, kw_only=True):
    """The state of one incident."""

    alert_id: Annotated[AlertId, Meta(description="Id of the incident: one per model, group and release.")]
    revision: Annotated[Serial, Meta(description="Counts the alerts about this incident, from 1.")]
    dedup_key: Annotated[Key, Meta(description="The same for every alert about this incident.")]
    state: Annotated[State, Meta(description="State of the incident after this alert.")]
    transition: Annotated[
        str | None,
        Meta(
            description="Why this alert was sent: opened, reopened, merged, evidence-grew, members-doubled, "
            "severity-rose, confirmed, quiet, watch-ended, benign, verified."
        ),
    ] = None
    test: Annotated[
        bool | msgspec.UnsetType,
        Meta(description="True on an alert of `pivotwatch deliver test`; absent on every other."),
    ] = msgspec.UNSET
    severity: Annotated[Severity, Meta(description="How urgent it is, from info to critical.")]
    model: Annotated[Text, Meta(description="The released model.")]
    entity: Annotated[Entity, Meta(description="The group (or account) that the incident was opened for.")]
    groups: Annotated[
        list[Entity],
        Meta(
            description="Groups that were merged into this incident. Of more than "
            f"{GROUPS_SHOWN}, or of very long names, those with the highest score, in order of merging."
        ),
    ]
    groups_total: Annotated[
        Count | None, Meta(description="Number of merged groups; null in alerts of earlier versions.")
    ] = None
    merged_into: Annotated[
        Entity | None, Meta(description="The entity of the incident that this one was merged into.")
    ] = None
    released_at: Annotated[Moment | None, Meta(description="Time of the release.")] = None
    release_inferred: Annotated[
        bool,
        Meta(description="Whether the release was inferred from the stream, not read from the calendar."),
    ] = False
    onset: Annotated[Moment, Meta(description="Start of the bucket in which the move began.")]
    detected_at: Annotated[
        Moment, Meta(description="Event time of this alert: the end of the bucket that raised it.")
    ]
    members: Annotated[
        list[str],
        Meta(max_length=MEMBERS_SHOWN, description="Accounts that moved, in order of their ids."),
    ]
    members_total: Annotated[Count, Meta(description="Number of accounts that moved.")]
    exchanges_to_model: Annotated[
        Count, Meta(description="Requests of the group to the model since the onset.")
    ]
    evidence: Evidence
    reasons: Annotated[
        list[str],
        Meta(
            description="Sentences for a person, in a fixed order: what happened, how sure that is, further "
            "reasons. 'Next step: ', 'Details: ' and 'Counter-evidence: ' begin sentences of these kinds."
        ),
    ]
    urls: Urls = Urls()

    def __post_init__(self) -> None:
        check_moments(released_at=self.released_at, onset=self.onset, detected_at=self.detected_at)
        if self.members_total < len(self.members):
            raise ValueError("members_total: expected at least the number of members shown")
        if self.groups_total is not None and self.groups_total < len(self.groups):
            raise ValueError("groups_total: expected at least the number of groups shown")

    @property
    def group_count(self) -> int:
        """Number of merged groups."""
        return len(self.groups) if self.groups_total is None else self.groups_total

    @property
    def is_closed(self) -> bool:
        """Whether the incident is over with this alert."""
        return self.state in ("resolved", "suppressed")


class Alert(Struct, frozen=True, kw_only=True):
    """A CloudEvents 1.0 envelope with the state of an incident in ``data``."""

    specversion: Annotated[Literal["1.0"], Meta(description="Version of CloudEvents.")] = "1.0"
    id: Annotated[str, Meta(description="alert_id.revision. A repeat is equal byte for byte.")]
    source: Annotated[Text, Meta(description="What sent it: /pivotwatch.")]
    type: Annotated[AlertType, Meta(description="The state of the incident as a type of event.")]
    time: Annotated[Moment, Meta(description="The same as data.detected_at.")]
    subject: Annotated[str | None, Meta(description="Kind and id of the entity: kind/id.")] = None
    datacontenttype: Annotated[Literal["application/json"], Meta(description="Media type of data.")] = (
        "application/json"
    )
    data: AlertData

    def __post_init__(self) -> None:
        if self.id != f"{self.data.alert_id}.{self.data.revision}":
            raise ValueError("id: expected alert_id.revision")
        if self.type != TYPES[self.data.state]:
            raise ValueError(
                f"type: expected {TYPES[self.data.state]}, because data.state is {self.data.state}"
            )
        if self.time != self.data.detected_at:
            raise ValueError("time: expected the same as data.detected_at")


def alert_of(data: AlertData) -> Alert:
    """The envelope of an incident's state."""
    return Alert(
        id=f"{data.alert_id}.{data.revision}",
        source=SOURCE,
        type=TYPES[data.state],
        time=data.detected_at,
        subject=f"{data.entity.kind}/{data.entity.id}",
        data=data,
    )


_parse = parser(Alert, "an alert")


def parse_alert(raw: bytes | str) -> Alert:
    """Read one alert.

    Raises
    ------
    WrongUse
        With the first field that is not as the contract says.

    Examples
    --------
    >>> parse_alert(b'{"specversion": "1.0", "id": 7}')
    Traceback (most recent call last):
    ...
    pivotwatch.base.errors.WrongUse: not an alert: id: expected `str`, got `int`
    """
    return _parse(raw)


def parse_without_evidence(raw: bytes | str) -> Alert:
    """Read an alert whose evidence is not as the contract says: what is left is better than nothing.

    Raises
    ------
    WrongUse
        When the rest is not as the contract says, either.
    """
    try:
        event = orjson.loads(raw)
        event["data"]["evidence"] = {}
    except (orjson.JSONDecodeError, TypeError, KeyError):
        raise WrongUse("not an alert: it has no evidence to leave out") from None
    return _parse(orjson.dumps(event))


def alert_schema() -> dict[str, Any]:
    """JSON Schema of the alert."""
    return json_schema(Alert, "pivotwatch alert")
