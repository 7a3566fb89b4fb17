"""Records of ``status`` and ``decisions`` as the page takes them: only what can be shown."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pivotwatch.contracts.events import MAX_TS, BadEvent, parse_time
from pivotwatch_models.settings import DAY_MS

MOST_NAME = 200
MOST_TEXT = 2_000


def _is_moment(value: str) -> str:
    parse_time(value)
    return value


Count = Annotated[int, Field(ge=0, le=1 << 53)]
Moment = Annotated[str, AfterValidator(_is_moment)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class _Release(_Part):
    model: str
    released_at: Moment
    inferred: bool
    learning: bool
    share: Annotated[float, Field(ge=0, le=1)] | None
    first_uses: Count
    at_risk: Count


class _Status(_Part):
    bucket: Moment
    bucket_ms: Annotated[int, Field(gt=0, le=366 * DAY_MS)]
    watermark: Annotated[int, Field(ge=0, lt=MAX_TS)]
    requests: Count
    accounts: Count
    groups: Count
    late: Count
    invalid: Count
    failed: Count
    stale_records: Count = 0
    dropped_models: Count = 0
    forgotten_models: Count = 0
    releases: list[_Release]


def read_status(value: bytes) -> dict[str, Any]:
    """The fields of a scored bucket.

    Raises
    ------
    ValueError
        When it is not as ``networks`` writes it.

    Examples
    --------
    >>> read_status(b'{"bucket": 7}')
    Traceback (most recent call last):
    ValueError: bucket, bucket_ms, watermark, requests, accounts, groups, late, invalid, failed, releases
    """
    try:
        return _Status.model_validate(orjson.loads(value)).model_dump()
    except ValidationError as error:
        places = (".".join(map(str, fault["loc"])) for fault in error.errors())
        raise ValueError(", ".join(dict.fromkeys(places))) from None


def signature(by: object, at: object) -> tuple[str, str]:
    """Who decided and when, as far as that can be shown; programs write decisions, too.

    Examples
    --------
    >>> signature("kim", "2026-02-05T18:00:00Z"), signature(None, "yesterday")
    (('kim', '2026-02-05T18:00:00Z'), ('', ''))
    """
    when = at if isinstance(at, str) else ""
    try:
        parse_time(when)
    except BadEvent:
        when = ""
    return str(by or "")[:MOST_NAME], when
