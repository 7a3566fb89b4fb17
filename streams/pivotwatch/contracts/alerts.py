"""The alert: what pivotwatch publishes, as models that read it, check it and give its JSON Schema.

An alert is a CloudEvents 1.0 object in structured mode. Consumers that only read may take
the parts they know: fields may be added, none is taken away or changes its meaning.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.events import MAX_TS

MEMBERS_SHOWN = 100
POINTS_SHOWN = 96

State = Literal["open", "updated", "resolved", "suppressed"]
Severity = Literal["info", "low", "medium", "high", "critical"]
NetworkClass = Annotated[str, Field(description="access, business, proxy, hosting or what a source names")]

TYPES: dict[State, str] = {
    "open": "io.pivotwatch.alert.opened",
    "updated": "io.pivotwatch.alert.updated",
    "resolved": "io.pivotwatch.alert.resolved",
    "suppressed": "io.pivotwatch.alert.suppressed",
}

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    """Fields may be added; a number is never NaN or infinite, but null."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class Entity(_Part):
    """What moved: one account, or a group of accounts."""

    kind: Annotated[str, Field(min_length=1, description="account, network, payment, signup, …")]
    id: Annotated[str, Field(min_length=1)]


class Corroboration(_Part):
    """Signs that do not come from the statistic itself."""

    adwin: Annotated[bool, Field(description="ADWIN saw the residual rise between onset and now")] = False
    shared_members: Annotated[
        bool, Field(description="an open incident of another kind shares at least 30 % of the members")
    ] = False
    young_share: Annotated[
        Share | None, Field(description="share of the members that were made in the last 7 days")
    ] = None
    network_class: NetworkClass | None = None


class Usage(_Part):
    """Means per exchange."""

    exchanges: Count
    tools_share: Annotated[Share, Field(description="share of the exchanges that used tools")]
    input_tokens: Amount
    output_tokens: Amount


class Profile(_Part):
    """What was asked of the model: tool use and sizes, beside what is usual."""

    to_model: Annotated[Usage | None, Field(description="the group to the model, since onset")] = None
    to_other_models: Annotated[Usage | None, Field(description="the group to others, since onset")] = None
    before: Annotated[Usage | None, Field(description="the group to any model, before onset")] = None
    population: Annotated[Usage | None, Field(description="everyone else to the model, since onset")] = None


class Series(_Part):
    """The course over time, from up to 48 buckets before the onset: arrays of one length."""

    group: Annotated[Entity, Field(description="the group with the most evidence")]
    start: AwareDatetime
    bucket_ms: Annotated[int, Field(gt=0)]
    at: Annotated[list[Count], Field(max_length=POINTS_SHOWN, description="buckets from start")]
    until: list[Count]
    share: Annotated[list[Share | None], Field(description="share of the model in the group's requests")]
    others_share: list[Share | None]
    seen: Annotated[list[Count], Field(description="first uses and switches")]
    expected: Annotated[list[Amount], Field(description="by the pace of everyone else")]
    low: Annotated[list[Count], Field(description="with high: where 95 of 100 ordinary counts lie")]
    high: list[Count]

    @model_validator(mode="after")
    def _aligned(self) -> Series:
        columns = (self.until, self.share, self.others_share, self.seen, self.expected, self.low, self.high)
        if any(len(column) != len(self.at) for column in columns):
            raise ValueError("expected arrays of one length")
        if any(until <= at for at, until in zip(self.at, self.until, strict=True)):
            raise ValueError("until: expected to be behind at")
        last = max(self.until, default=0)
        if not 0 < self.start.timestamp() * 1000 + last * self.bucket_ms < MAX_TS:
            raise ValueError("expected times between 1970 and 2100")
        return self


class SplitSign(_Part):
    """What part of its traffic a member sends to the model after its first use."""

    sign: Literal["roll-out", "extraction"] | None = None
    part: Annotated[Share | None, Field(description="blocks of members with 20 to 80 % of the traffic")] = (
        None
    )
    others_part: Annotated[Share | None, Field(description="the same of everyone")] = None
    whole: Annotated[Share | None, Field(description="blocks with over 80 %")] = None


class SizeSign(_Part):
    """How varied the tokens per request are."""

    sign: Literal["roll-out", "extraction"] | None = None
    ratio: Annotated[Amount | None, Field(description="spread over members, over that over everyone")] = None


class HourSign(_Part):
    """When the group works."""

    sign: Literal["roll-out", "extraction"] | None = None
    quiet_share: Annotated[
        Share | None, Field(description="share of its requests in the eight quietest hours of the day")
    ] = None


class Pattern(_Part):
    """What the move looks like: a company's roll-out, extraction, or neither. Decides the severity only."""

    name: Literal["roll-out", "extraction"] | None = None
    judged: Annotated[
        Count, Field(description="blocks of at least 8 requests of members, since first use")
    ] = 0
    split: SplitSign = SplitSign()
    sizes: SizeSign = SizeSign()
    hours: HourSign = HourSign()


class Evidence(_Part):
    """What was seen, what the population did meanwhile, how improbable the difference is."""

    baseline_share: Annotated[Share | None, Field(description="share of the model before onset")] = None
    observed_share: Annotated[Share | None, Field(description="share of the model since onset")] = None
    population_share: Annotated[
        Share | None, Field(description="share of the model in the rest of the population since onset")
    ] = None
    switches_seen: Count | None = None
    switches_expected: Amount | None = None
    first_uses_seen: Count | None = None
    first_uses_expected: Amount | None = None
    hazard_ratio: Annotated[
        Amount | None, Field(description="how many times faster than the population since onset")
    ] = None
    log_e_value: Annotated[
        float | None, Field(description="natural logarithm of the e-value against theta")
    ] = None
    log_e_pace: Annotated[float | None, Field(description="of it, what the pace says")] = None
    log_e_split: Annotated[float | None, Field(description="of it, what the sameness of the split says")] = (
        None
    )
    pattern: Pattern | None = None
    threshold: Annotated[float | None, Field(description="log_e_value from which one group alerts")] = None
    e_bh: Annotated[bool, Field(description="found by e-BH over all groups together")] = False
    theta: Annotated[
        Amount | None, Field(description="hazard ratio that still counts as ordinary for this group")
    ] = None
    synchrony: Annotated[
        Share | None, Field(description="largest share of the members that moved within 3 h")
    ] = None
    population_synchrony: Share | None = None
    corroboration: Corroboration = Corroboration()
    testers: Annotated[Count | None, Field(description="members that used the model before release")] = None
    data_lag: Annotated[bool, Field(description="late events or a lagging partition in the window")] = False
    learning: Annotated[
        bool, Field(description="too few moves of the population seen yet to know its pace well")
    ] = False
    profile: Profile | None = None
    series: Series | None = None


class Urls(_Part):
    """Where to read on."""

    runbook: str | None = None
    page: str | None = None


class AlertData(_Part):
    """The finding."""

    alert_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="one per model, group and release")]
    revision: Annotated[int, Field(ge=1, description="counts the publications of this alert")]
    dedup_key: Annotated[str, Field(min_length=1, max_length=255)]
    state: State
    severity: Severity
    model: Annotated[str, Field(min_length=1)]
    entity: Entity
    groups: Annotated[list[Entity], Field(description="all groups that were merged into this incident")]
    released_at: AwareDatetime | None = None
    release_inferred: Annotated[bool, Field(description="not from the calendar, seen in the stream")] = False
    onset: AwareDatetime
    detected_at: Annotated[AwareDatetime, Field(description="event time: the close of the deciding bucket")]
    members: Annotated[list[str], Field(max_length=MEMBERS_SHOWN, description="account ids")]
    members_total: Count
    exchanges_to_model: Count
    transition: Annotated[
        str | None,
        Field(
            description="why this revision: opened, evidence-grew, members-doubled, severity-rose, merged, "
            "confirmed, quiet, watch-ended, verified, benign, reopened"
        ),
    ] = None
    evidence: Evidence
    reasons: Annotated[list[str], Field(description="short sentences for a person")]
    urls: Urls = Urls()


class Alert(_Part):
    """A CloudEvents 1.0 envelope with the finding in ``data``."""

    specversion: Literal["1.0"]
    id: Annotated[str, Field(description="alert_id.revision; a repeat is equal to the byte")]
    source: Annotated[str, Field(min_length=1, description="/pivotwatch")]
    type: Annotated[str, Field(pattern=r"^io\.pivotwatch\.alert\.(opened|updated|resolved|suppressed)$")]
    time: Annotated[AwareDatetime, Field(description="data.detected_at")]
    datacontenttype: Literal["application/json"] = "application/json"
    subject: str | None = None
    data: AlertData

    @model_validator(mode="after")
    def _agrees(self) -> Alert:
        data = self.data
        if self.id != f"{data.alert_id}.{data.revision}":
            raise ValueError("id: expected alert_id.revision")
        if self.type != TYPES[data.state]:
            raise ValueError(f"type: expected {TYPES[data.state]}, because state is {data.state}")
        if self.time != data.detected_at:
            raise ValueError("time: expected the same as data.detected_at")
        if data.members_total < len(data.members):
            raise ValueError("data.members_total: expected at least the number of members shown")
        return self


def parse_alert(raw: bytes | str) -> Alert:
    """Read one alert.

    Raises
    ------
    WrongUse
        With every field that is not as the contract says.

    Examples
    --------
    >>> parse_alert(b'{"specversion": "1.0", "id": 7}')
    Traceback (most recent call last):
    ...
    pivotwatch.base.errors.WrongUse: not an alert: id: Input should be a valid string; source: Field
    required; \
type: Field required; time: Field required; data: Field required
    """
    try:
        return Alert.model_validate(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise WrongUse(f"not an alert: not JSON: {error}") from None
    except ValidationError as error:
        faults = [
            ": ".join(filter(None, (".".join(map(str, fault["loc"])), fault["msg"])))
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise WrongUse("not an alert: " + "; ".join(faults)) from None


def alert_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the alert."""
    schema = Alert.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "pivotwatch alert"}
