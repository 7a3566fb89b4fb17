r"""e-BH: which of many groups may be reported at once, with few false ones among them.

Given :math:`G` e-values, e-BH reports the :math:`r` largest, for the largest :math:`r` with
:math:`e_{(r)} \ge G / (\alpha r)`. The false discovery rate is at most :math:`\alpha` under any dependence
between the groups. :math:`R / (R_0 + t)` is an e-value after :math:`t` buckets, as a score from a head start
:math:`R_0` satisfies :math:`E[R_t] \le R_0 + t`; see `pivotwatch_models.groups.report_rule`.

References
----------
R. Wang, A. Ramdas, False discovery rate control with e-values, JRSS B 84 (2022). S. Dandapanthula, A. Ramdas,
Multiple testing in multi-stream sequential change detection, arXiv 2501.04130.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pivotwatch_models.method import DECISION

_RULE = DECISION.report_rule


def e_bh(log_e: Sequence[float], hypotheses: int, alpha: float = _RULE.e_bh_alpha) -> float:
    """Logarithm of the smallest e-value that is reported; inf when none is.

    Parameters
    ----------
    log_e
        Logarithms of the e-values. Those below `smallest_reportable` may be left out.
    hypotheses
        G, the number of all e-values.
    alpha
        False discovery rate.

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
        if value >= math.log(hypotheses / (alpha * rank)) - _RULE.e_bh_tolerance:
            threshold = value
    return threshold


def smallest_reportable(alpha: float = _RULE.e_bh_alpha) -> float:
    """Logarithm of the least e-value that e-BH can report: 1/α, when all G are reported."""
    return -math.log(alpha)
