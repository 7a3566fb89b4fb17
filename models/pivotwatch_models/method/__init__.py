"""The constants of the method: every number that decides a result and is not a setting.

They are fixed in a version of the program, so that its results can be compared. `METHOD` is the only
instance; modules bind what they need of it once, when they are imported. Both fingerprints cover it
(`pivotwatch_models.fingerprint`), so a changed constant is noticed wherever a stored state or an alert of
before is met again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import field

from pivotwatch_models.method.counting import (
    AccountFindings,
    Candidates,
    EventTime,
    GroupBounds,
    Inference,
    Membership,
    PageHinkleyMethod,
    SplitBlocks,
    Switch,
)
from pivotwatch_models.method.groups import (
    Adwin,
    EvidenceWeights,
    HourOfDayMethod,
    Lateness,
    Pace,
    ReportRuleMethod,
    Residual,
    Split,
    TaughtTheta,
    Timeline,
    WatchBounds,
)
from pivotwatch_models.method.incidents import Figures, Merging, News, PatternMethod, SeverityMethod
from pivotwatch_models.method.population import (
    AlwaysActive,
    Cohorts,
    Hazard,
    Heterogeneity,
    Newcomers,
    Sufficiency,
)


@dataclasses.dataclass(frozen=True, slots=True)
class StateMethod:
    """Constants that stored state depends on: under others the stored numbers mean something else.

    Attributes
    ----------
    version
        Raise it when code changes what the stored numbers mean and no constant changes.
    """

    version: int = 1
    membership: Membership = field(default_factory=Membership)
    event_time: EventTime = field(default_factory=EventTime)
    candidates: Candidates = field(default_factory=Candidates)
    group_bounds: GroupBounds = field(default_factory=GroupBounds)
    switch: Switch = field(default_factory=Switch)
    page_hinkley: PageHinkleyMethod = field(default_factory=PageHinkleyMethod)
    split_blocks: SplitBlocks = field(default_factory=SplitBlocks)
    inference: Inference = field(default_factory=Inference)
    cohorts: Cohorts = field(default_factory=Cohorts)
    hazard: Hazard = field(default_factory=Hazard)
    newcomers: Newcomers = field(default_factory=Newcomers)
    always_active: AlwaysActive = field(default_factory=AlwaysActive)
    heterogeneity: Heterogeneity = field(default_factory=Heterogeneity)
    pace: Pace = field(default_factory=Pace)
    split: Split = field(default_factory=Split)
    adwin: Adwin = field(default_factory=Adwin)
    residual: Residual = field(default_factory=Residual)
    taught_theta: TaughtTheta = field(default_factory=TaughtTheta)
    lateness: Lateness = field(default_factory=Lateness)
    hour_of_day: HourOfDayMethod = field(default_factory=HourOfDayMethod)
    timeline: Timeline = field(default_factory=Timeline)
    watch_bounds: WatchBounds = field(default_factory=WatchBounds)


@dataclasses.dataclass(frozen=True, slots=True)
class DecisionMethod:
    """Constants that decide what is made of the stored numbers: which groups are reported, and what is said.

    Attributes
    ----------
    version
        Raise it when code changes which alerts are sent, or their figures, and no constant changes.
    """

    version: int = 2
    account_findings: AccountFindings = field(default_factory=AccountFindings)
    weights: EvidenceWeights = field(default_factory=EvidenceWeights)
    report_rule: ReportRuleMethod = field(default_factory=ReportRuleMethod)
    sufficiency: Sufficiency = field(default_factory=Sufficiency)
    merging: Merging = field(default_factory=Merging)
    news: News = field(default_factory=News)
    severity: SeverityMethod = field(default_factory=SeverityMethod)
    pattern: PatternMethod = field(default_factory=PatternMethod)
    figures: Figures = field(default_factory=Figures)


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """All constants of the method.

    Examples
    --------
    >>> METHOD.state.pace.multiples
    (2.0, 4.0, 8.0, 16.0, 32.0)
    """

    state: StateMethod = field(default_factory=StateMethod)
    decision: DecisionMethod = field(default_factory=DecisionMethod)


METHOD = Method()
STATE, DECISION = METHOD.state, METHOD.decision
