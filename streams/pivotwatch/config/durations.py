"""Durations as fields of the configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from pivotwatch_models.durations import format_duration, parse_duration


def _at_least(least: timedelta) -> Any:
    def check(value: object) -> timedelta:
        duration = parse_duration(value)
        if duration < least:
            raise ValueError(f"expected at least {format_duration(least)}")
        return duration

    return BeforeValidator(check)


_WRITTEN = PlainSerializer(format_duration, return_type=str)
Duration = Annotated[timedelta, _at_least(timedelta(0)), _WRITTEN]
PositiveDuration = Annotated[timedelta, _at_least(timedelta(milliseconds=1)), _WRITTEN]
