"""JSON Schemas of what comes in: the native event and an entry of the release calendar.

For people and programs who produce events. The hot path does not go through these models:
`pivotwatch.contracts.events` reads events by hand, many times faster; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from pivotwatch.contracts.alerts import alert_schema

Text = Annotated[str, Field(min_length=1)]
Time = (
    Annotated[int, Field(ge=0, description="epoch milliseconds")]
    | Annotated[AwareDatetime, Field(description="RFC 3339")]
)
Count = Annotated[int, Field(ge=0)]

_EXAMPLE_EVENT: JsonDict = {
    "id": "req-1",
    "ts": 1760000000123,
    "account": "acct-9",
    "network": "AS64500",
    "model": "m-2",
    "input_tokens": 512,
    "output_tokens": 1210,
    "ip": "203.0.113.7",
    "requested_model": "m-latest",
    "links": {"payment": "pay-7", "signup": "2026-02-01T10"},
    "account_created": 1751000000000,
    "status": 200,
    "tools": 3,
}


class Event(BaseModel):
    """One request to a model. Unknown fields are dropped."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_EVENT]})

    id: Annotated[Text, Field(description="unique; removes duplicates at HTTP ingest")]
    ts: Annotated[Time, Field(description="when the request was made")]
    account: Annotated[Text, Field(description="also the key of the Kafka message")]
    model: Annotated[Text, Field(description="the model that answered")]
    network: Annotated[
        Text | None, Field(description="where the account comes from; else derived from ip")
    ] = None
    ip: Annotated[Text | None, Field(description="IPv4 or IPv6 address; never stored")] = None
    requested_model: Annotated[
        Text | None, Field(description="the name as requested: an alias is no choice of the account")
    ] = None
    links: Annotated[
        dict[str, str] | None, Field(description="further keys that may join accounts: payment, signup, …")
    ] = None
    account_created: Time | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    status: Annotated[
        int | None, Field(description="HTTP status; requests of 400 and more are not counted")
    ] = None
    tools: Annotated[Count | None, Field(description="number of tool calls")] = None


class Release(BaseModel):
    """An entry of the release calendar (topic ``releases``, keyed by model)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "m-2", "released_at": "2026-02-05T18:00:00Z"}]}
    )

    model: Text
    released_at: AwareDatetime


def event_schema() -> dict[str, Any]:
    """JSON Schema of the native event."""
    return _schema(Event, "pivotwatch event")


def release_schema() -> dict[str, Any]:
    """JSON Schema of an entry of the release calendar."""
    return _schema(Release, "pivotwatch release")


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "alert": alert_schema,
    "event": event_schema,
    "release": release_schema,
}


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = model.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
