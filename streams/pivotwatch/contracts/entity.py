"""The account or group that an alert or a decision is about."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from pivotwatch.contracts.codec import Text


class Entity(Struct, frozen=True):
    """One account, or one group of accounts."""

    kind: Annotated[Text, Meta(description="Kind: account, network, payment, signup, device, …")]
    id: Annotated[Text, Meta(description="Text of the account or group, as events carry it.")]
