"""From columns to lines: native events, one JSON object a line.

Everything about an event that is fixed by its account, network or model is written once,
beforehand; what is left is one format string an event. That is several times as fast as a
dictionary an event. A test holds the lines against a real JSON encoder.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.catalogue import ALIAS, MODELS
from pivotwatch.simulation.rhythm import DAY, HOUR, iso
from pivotwatch.simulation.traffic import Batch
from pivotwatch.simulation.world import World

# Numbers for private use, so that no real network is ever named.
_FIRST_ASN = 4_200_000_000


def scramble(number: int, key: int, bits: int) -> int:
    """A number of the same width that does not show the order; different numbers stay different.

    Examples
    --------
    >>> len({scramble(n, 5, 16) for n in range(2**16)}) == 2**16
    True
    """
    mask = (1 << bits) - 1
    number = (number * 0x9E3779B1 + key) & mask
    number ^= number >> (bits // 2)
    return (number * 0x85EBCA6B) & mask


@dataclasses.dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of the stream, ready to be written.

    Attributes
    ----------
    begin, end
        Epoch milliseconds of delivery: begin ≤ delivery < end, but for the last slice.
    blob
        The lines, each with its line feed.
    batch
        The same events as columns.
    keys
        Account id of every account row.
    """

    begin: int
    end: int
    blob: bytes
    batch: Batch
    keys: list[bytes]

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def lines(self) -> list[bytes]:
        """The events, without line feeds."""
        return self.blob.split(b"\n")[:-1]

    @property
    def delivery(self) -> npt.NDArray[np.int64]:
        """When each event is delivered, epoch milliseconds."""
        return self.batch.delivery

    @property
    def accounts(self) -> list[bytes]:
        """The account of each event: the key of its Kafka record."""
        keys = self.keys
        return [keys[row] for row in self.batch.account.tolist()]


class Encoder:
    """Writes the events of one world.

    Parameters
    ----------
    world
        Gives the accounts and networks their rows.
    seed
        Gives them their names.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.seed = seed
        self.account_ids = [self.account_id(row) for row in range(len(world.accounts))]
        self.keys = [name.encode() for name in self.account_ids]
        self._heads = [f',"account":"{name}","network":"' for name in self.account_ids]
        self._networks = [self.network_id(number) for number in range(len(world.kind))]
        self._tails = self._account_tails()
        self._statuses = (',"status":200', ',"status":529')

    def account_id(self, row: int) -> str:
        """Name of an account."""
        return f"acct-{scramble(row, self.seed * 7919 + 11, 32):08x}"

    def network_id(self, number: int) -> str:
        """Name of a network."""
        return f"AS{_FIRST_ASN + scramble(number, self.seed * 104729 + 5, 26)}"

    def payment_id(self, number: int) -> str:
        """Name of a payment instrument."""
        return f"pay-{scramble(number, self.seed * 1299709 + 3, 32):08x}"

    def signup_id(self, created: int) -> str | None:
        """Sign-up batch: the hour of it, for accounts not much older than the stream."""
        if created < self.world.begin - 14 * DAY:
            return None
        return iso(created // HOUR * HOUR)[:13]

    def links(self, row: int) -> dict[str, str]:
        """By what an account may belong together with others."""
        account = self.world.accounts[row]
        links = {}
        if account["payment"] >= 0:
            links["payment"] = self.payment_id(int(account["payment"]))
        signup = self.signup_id(int(account["created"]))
        if signup is not None:
            links["signup"] = signup
        return links

    def _account_tails(self) -> list[str]:
        created = self.world.accounts["created"].tolist()
        tails = []
        for row, when in enumerate(created):
            links = ",".join(f'"{kind}":"{name}"' for kind, name in self.links(row).items())
            tails.append((f',"links":{{{links}}}' if links else "") + f',"account_created":{when}}}')
        return tails

    def slice(self, batch: Batch, begin: int, end: int) -> Slice:
        """Encode a batch."""
        heads, networks, tails, statuses = self._heads, self._networks, self._tails, self._statuses
        models = _model_parts()
        # 0 nothing, 1 the alias, 2 the first model was asked for.
        asked = np.where(batch.asked == -1, 0, np.where(batch.asked == -2, 1, 2))
        rows = zip(
            batch.hour.tolist(),
            batch.rank.tolist(),
            batch.ts.tolist(),
            batch.account.tolist(),
            batch.network.tolist(),
            (batch.model * 3 + asked).tolist(),
            batch.input.tolist(),
            batch.output.tolist(),
            batch.failed.tolist(),
            batch.tools.tolist(),
            strict=True,
        )
        lines = [
            f'{{"id":"r{h:x}-{r:x}","ts":{t}{heads[a]}{networks[n]}{models[m]}{i},"output_tokens":{o}'
            f'{statuses[f]},"tools":{k}{tails[a]}'
            for h, r, t, a, n, m, i, o, f, k in rows
        ]
        lines.append("")
        return Slice(begin, end, "\n".join(lines).encode("ascii"), batch, self.keys)


@functools.cache
def _model_parts() -> list[str]:
    """The piece of a line that names the model, by model × what was asked for."""
    return [
        f'","model":"{model}"{asked},"input_tokens":'
        for model in MODELS
        for asked in ("", f',"requested_model":"{ALIAS}"', f',"requested_model":"{MODELS[0]}"')
    ]
