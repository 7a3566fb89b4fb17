"""What a move looks like: signs of a company roll-out, and of extraction. They only affect the severity.

No sign is evidence that a group moved, and each is often honest. Together they describe a move that was
found:

======== =================================================== =================================================
sign     roll-out                                            extraction
======== =================================================== =================================================
split    nearly all traffic: 3 of 4 blocks over 80 %         part of it: 3 of 5 blocks between 20 and 80 %,
and
                                                             1.5 times as often as everyone
sizes    as varied as everyone's (ratio at least 0.7)        alike (ratio at most 0.4)
hours    at most 12 % of requests in the 8 quietest hours    at least 25 % (a third is around the clock)
======== =================================================== =================================================

The spread of sizes is the standard deviation of ln(tokens per request). The ratio is the spread over members
divided by the spread over everyone who used the model, averaged over input and output tokens. A field without
spread in the population is left out.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from pivotwatch_models.groups.move_shape import MoveShape
from pivotwatch_models.method import DECISION

Sign = Literal["roll-out", "extraction"]

_PATTERN = DECISION.pattern


@dataclasses.dataclass(frozen=True, slots=True)
class Pattern:
    """The measured signs of a move; None where there are too few data.

    Attributes
    ----------
    judged
        Number of the members' blocks.
    part, whole
        Share of the members' blocks with a part of the traffic, and with nearly all.
    others_part
        Share of everyone's blocks with a part of the traffic.
    size_ratio
        Spread of the members' sizes over the spread of everyone's.
    quiet_share
        Share of the group's requests in the eight quietest hours of its day.
    """

    judged: int = 0
    part: float | None = None
    whole: float | None = None
    others_part: float | None = None
    size_ratio: float | None = None
    quiet_share: float | None = None

    @property
    def split(self) -> Sign | None:
        """What the splits point to; None for neither."""
        if self.part is None or self.whole is None or self.others_part is None:
            return None
        if self.whole >= _PATTERN.whole_share:
            return "roll-out"
        least = max(_PATTERN.part_share, _PATTERN.part_ratio * self.others_part)
        return "extraction" if self.part >= least else None

    @property
    def sizes(self) -> Sign | None:
        """What the sizes point to; None for neither."""
        if self.size_ratio is None or _PATTERN.alike < self.size_ratio < _PATTERN.varied:
            return None
        return "roll-out" if self.size_ratio >= _PATTERN.varied else "extraction"

    @property
    def hours(self) -> Sign | None:
        """What the hours point to; None for neither."""
        if self.quiet_share is None or _PATTERN.office_share < self.quiet_share < _PATTERN.clock_share:
            return None
        return "roll-out" if self.quiet_share <= _PATTERN.office_share else "extraction"

    @property
    def name(self) -> Sign | None:
        """The pattern: two signs of one kind and none of the other; a roll-out needs the split among them.

        Examples
        --------
        >>> Pattern(40, part=0.9, whole=0.05, others_part=0.3, size_ratio=0.1).name
        'extraction'
        >>> Pattern(40, part=0.03, whole=0.97, others_part=0.3, quiet_share=0.04).name
        'roll-out'
        """
        signs = [self.split, self.sizes, self.hours]
        if self.split == "roll-out" and signs.count("roll-out") >= 2 and "extraction" not in signs:
            return "roll-out"
        return "extraction" if signs.count("extraction") >= 2 and "roll-out" not in signs else None

    @property
    def contradictory(self) -> bool:
        """Whether there are signs of both kinds."""
        return {"roll-out", "extraction"} <= {self.split, self.sizes, self.hours}


def pattern(own: MoveShape, everyone: MoveShape, quiet_share: float | None) -> Pattern:
    """Compare the members of a group with everyone who uses the model.

    Parameters
    ----------
    own, everyone
        Splits and sizes of the members, and of everyone.
    quiet_share
        Share of the group's requests in the eight quietest hours of its day; None when it is not known.
    """
    ratios = [
        mine / others
        for field in range(2)
        if (mine := own.spread(field)) is not None
        and (others := everyone.spread(field)) is not None
        and others >= _PATTERN.least_spread
    ]
    size_ratio = sum(ratios) / len(ratios) if ratios else None
    if own.judged < _PATTERN.least_blocks:
        return Pattern(own.judged, size_ratio=size_ratio, quiet_share=quiet_share)
    return Pattern(own.judged, own.part, own.whole, everyone.part, size_ratio, quiet_share)
