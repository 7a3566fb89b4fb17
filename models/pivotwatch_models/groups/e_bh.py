r"""e-BH: which of many groups may be named at once, with few false ones among them.

With :math:`G` e-values the e-BH procedure names the :math:`r` largest for the largest :math:`r` with
:math:`e_{(r)} \ge G / (\alpha r)`. The false discovery rate is at most :math:`\alpha` under any
dependence between the groups. Here :math:`e = R / H`: as :math:`E[R_t] \le t`, the Shiryaev-Roberts sum
over the buckets :math:`H` of a horizon is an e-value.

References
----------
R. Wang, A. Ramdas, False discovery rate control with e-values, JRSS B 84 (2022). S. Dandapanthula,
A. Ramdas, Multiple testing in multi-stream sequential change detection, arXiv 2501.04130.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pivotwatch_models.method import DECISION

_NAMING = DECISION.naming


def e_bh(log_e: Sequence[float], hypotheses: int, alpha: float = _NAMING.e_bh_alpha) -> float:
    """Ln e of the smallest e-value that is named; inf when none is.

    Parameters
    ----------
    log_e
        ln of the e-values; those too small to matter may be left out.
    hypotheses
        G, the number of all e-values.

    Examples
    --------
    One e-value must reach G/α; five must each reach G/(5α):

    >>> e_bh([math.log(1999)], hypotheses=100)
    inf
    >>> round(math.exp(e_bh([math.log(400)] * 5, hypotheses=100)))
    400
    """
    threshold = math.inf
    for rank, value in enumerate(sorted(log_e, reverse=True), start=1):
        if value >= math.log(hypotheses / (alpha * rank)) - _NAMING.e_bh_tolerance:
            threshold = value
    return threshold


def smallest_nameable(alpha: float = _NAMING.e_bh_alpha) -> float:
    """Ln of the least e-value that e-BH can ever name (all G named): no smaller one need be shown to it."""
    return -math.log(alpha)
