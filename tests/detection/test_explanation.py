"""The sentences of an alert: which are there when, and that they agree with the figures."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pivotwatch.contracts.alert_evidence import Corroboration, Evidence, Profile, Usage
from pivotwatch.contracts.alert_texts import reason_parts
from pivotwatch.detection.alerting.explanation import reasons
from pivotwatch_models.incidents.evidence import Evidence as GroupEvidence
from pivotwatch_models.incidents.incident import Incident
from pivotwatch_models.incidents.pattern import Pattern
from pivotwatch_models.incidents.transition import Reported, Transition
from pivotwatch_models.settings import HOUR_MS, Settings

RELEASED = 491_707
COMPANY = Pattern(40, part=0.03, whole=0.97, others_part=0.3, size_ratio=0.9, quiet_share=0.02)
SCRAPER = Pattern(40, part=0.9, whole=0.05, others_part=0.3, size_ratio=0.2, quiet_share=0.31)
USAGE = Usage(exchanges=9, tools_share=0.2, input_tokens=100.0, output_tokens=200.0)
FIGURES = {
    "first_uses_seen": 6,
    "first_uses_expected": 1.0,
    "switches_seen": 5,
    "switches_expected": 0.9,
    "hazard_ratio": 4.583,
    "observed_share": 0.33,
    "baseline_share": None,
    "population_share": 0.25,
    "synchrony": 0.61,
    "population_synchrony": 0.12,
    "log_e_value": 20.0,
    "log_e_pace": 20.0,
    "log_e_split": None,
    "threshold": 15.384,
    "theta": 2.4,
    "data_lag": False,
    "learning": False,
    "profile": None,
}


def incident(onset=2, pattern=None, **changes):
    found = Incident("m-2", RELEASED * HOUR_MS, False, ("network", "AS1"), RELEASED + onset, RELEASED + onset)
    found.members = {f"a-{i}": (RELEASED + onset, False) for i in range(7)}
    found.groups = [found.entity]
    found.evidence[found.entity] = GroupEvidence(log_r=20.0)
    found.pattern = pattern or Pattern()
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def sentences(found=None, reason="opened", before=None, settings=None, **figures):
    transition = Transition(found or incident(), reason, before)
    return reasons(transition, Evidence(**(FIGURES | figures)), settings or Settings())


def parts(*args, **more):
    return reason_parts(sentences(*args, **more))


def supporting(*args, **more):
    found = parts(*args, **more)
    return [found.what, found.how_sure, *found.more]


def test_it_says_what_happened_how_sure_and_what_to_do():
    what, sure, *more = sentences()
    assert what == (
        "7 accounts on AS1 switched to m-2 since 2026-02-03 21:00 UTC, 2 hours after its release: 6 first "
        "uses and 5 switches, 1.9 expected; 4.6× as fast as everyone else (normal: up to 2.4×)."
    )
    assert (
        sure == "A group at the normal limit (2.4×) would reach this score less than once in 10 million days."
    )
    assert more[0] == "Next step: find out who is behind AS1, then decide: confirmed, benign or verified."
    assert more[1] == (
        "Since then, m-2 has received 33 % of this network's requests, against 25 % for everyone else; "
        "0 requests to it in this incident so far."
    )
    assert more[-2] == (
        "Details: score 20.0 (ln e-value; speed 20.0), alert threshold 15.4. The normal limit is 2.4× "
        "the speed of everyone else; about 8 % of ordinary groups exceed it."
    )
    assert more[-1] == "Counter-evidence: none measured."
    assert "(4 % before), against" in sentences(baseline_share=0.04)[3]


def test_accounts_that_only_tried_the_model_have_not_switched():
    assert "started using m-2 since" in sentences(switches_seen=2)[0]
    assert ": 6 first uses, 1.9 expected" in sentences(switches_seen=0)[0]


@pytest.mark.parametrize(
    ("onset", "when"),
    [(0, "at its release"), (1, "1 hour after"), (71, "71 hours after"), (96, "4 days after")],
)
def test_the_time_since_the_release_has_a_fitting_unit(onset, when):
    assert when in sentences(incident(onset))[0]


@pytest.mark.parametrize(
    ("value", "days"),
    [(15.384, "99,000 "), (15.385, "100,000 "), (20.0, "10 million "), (280.0, "a trillion ")],
)
def test_how_rare_it_is_follows_from_the_bound(value, days):
    sure = sentences(log_e_value=value, log_e_pace=value)[1]
    assert f"less than once in {days}days" in sure


def test_a_short_watch_has_a_larger_share_of_the_head_start():
    short = Settings(watch="2d")  # (0.8 · 7 + 2) / 2 = 3.8 instead of 2
    assert "in 52,000 days" in sentences(log_e_value=15.3852, settings=short)[1]


def test_an_equal_split_is_named_as_the_evidence():
    found = parts(log_e_split=21.0)
    assert any("evidence is not the speed" in s for s in found.more)
    assert "equal split 21.0" in found.details
    assert "Equal splits are normal up to 2× as often." in found.details
    assert not any("evidence is not the speed" in s for s in supporting(log_e_split=19.0))


def test_below_the_threshold_it_names_the_joint_report():
    found = parts(log_e_value=13.0, log_e_pace=13.0)
    assert "Several groups stood out together" in found.how_sure
    assert "less than once" not in found.how_sure
    assert found.counter_evidence == [
        "Its score alone, 13.0, is below the alert threshold for one group, 15.4."
    ]


@pytest.mark.parametrize(
    ("own", "others", "supports", "opposes"),
    [
        (0.61, 0.12, True, False),
        (0.2, 0.25, False, True),
        (0.284, 0.281, False, True),  # shown as 28 % and 28 %
        (1.0, 1.0, False, False),  # the release is three hours old: the same holds for everyone
        (None, None, False, False),
    ],
)
def test_starting_together_supports_or_opposes_or_says_nothing(own, others, supports, opposes):
    found = parts(synchrony=own, population_synchrony=others)
    assert any("started within 3 hours of each other" in s for s in found.more) == supports
    assert any("did not start closer together" in s for s in found.counter_evidence) == opposes


def test_every_change_since_the_last_update_is_listed():
    grown = incident(severity="high", verdict="confirmed")
    found = supporting(grown, "evidence-grew", Reported("medium", 3, 16.2))
    assert "Severity rose from medium to high." in found
    assert "Since the last update: accounts 3 → 7, score 16.2 → 20.0." in found
    assert "An operator confirmed it." in found
    same = supporting(incident(severity="high"), "merged", Reported("high", 7, 20.0))
    assert not any("rose" in s or "last update" in s for s in same)
    assert any("merged into this incident" in s for s in same)


def test_corroboration_is_listed_where_it_applies():
    found = incident(members={f"a-{i}": (RELEASED, True) for i in range(7)})
    found.groups = [*found.groups, ("payment", "pay-1"), *(("signup", f"s{i}") for i in range(3))]
    known = parts(found, corroboration=Corroboration(adwin=True, network_class="hosting"))
    for sentence in (
        "All of these accounts are at most 7 days old.",
        "Its network is of the class hosting.",
        "A second detector (ADWIN) also saw the change.",
        "The same accounts stand out as payment pay-1, sign-up batch s0, sign-up batch s1 and 1 more.",
    ):
        assert sentence in known.more
    assert not any("old" in s or "class" in s or "ADWIN" in s or "stand" in s for s in supporting())


def test_counter_evidence_is_what_was_measured():
    found = parts(incident(pattern=COMPANY), data_lag=True, learning=True, observed_share=0.95)
    pattern, lag, learning = found.counter_evidence
    assert pattern == (
        "Company roll-out pattern: in 39 of 40 samples its accounts send nearly all requests to m-2; "
        "request sizes vary as much as everyone else's (0.9×); it keeps office hours (2 % of its requests "
        "fall in its eight quietest hours)."
    )
    assert "arrived late" in lag
    assert "numbers are rough" in learning


def test_usual_requests_and_a_whole_switch_are_counter_evidence():
    alike = Profile(to_model=USAGE, population=replace(USAGE, input_tokens=120.0))
    assert len(parts(observed_share=0.95, profile=alike).counter_evidence) == 2
    different = Profile(to_model=USAGE, population=replace(USAGE, tools_share=0.9))
    assert len(parts(observed_share=0.95, profile=different).counter_evidence) == 1
    silent = replace(USAGE, input_tokens=0.0, output_tokens=0.0)
    assert parts(profile=Profile(to_model=silent, population=silent)).counter_evidence == []


def test_extraction_is_a_reason_and_its_single_sign_too():
    (pattern,) = [s for s in supporting(incident(pattern=SCRAPER)) if "xtraction" in s]
    assert pattern == (
        "Extraction pattern: in 36 of 40 samples its accounts send 20 to 80 % of their requests to m-2, "
        "against 30 % of everyone's samples; request sizes vary less than everyone else's (0.2×); it runs "
        "around the clock (31 % of its requests fall in its eight quietest hours)."
    )
    (sign,) = [s for s in supporting(incident(pattern=Pattern(quiet_share=0.3))) if "xtraction" in s]
    assert sign.startswith("Sign of extraction: it runs around the clock")


@pytest.mark.parametrize(
    ("changes", "reason", "step"),
    [
        (
            {"merged_into": ("network", "AS2"), "state": "resolved"},
            "merged",
            "Continue with the incident of AS2",
        ),
        ({"state": "suppressed", "verdict": "benign"}, "benign", "None"),
        ({"state": "resolved"}, "watch-ended", "decide now"),
        ({"state": "resolved"}, "quiet", "opens again"),
        ({"verdict": "confirmed"}, "confirmed", "your own procedure"),
        ({"pattern": COMPANY}, "opened", "about a roll-out"),
        ({"pattern": SCRAPER}, "opened", "limit the rates"),
        ({"severity": "critical"}, "opened", "limit the rates"),
    ],
)
def test_the_next_step_fits_the_state(changes, reason, step):
    assert step in parts(incident(**changes), reason).next_step


def test_accounts_that_no_group_holds_cannot_be_listed():
    found = incident(entity=("population", "always active, 2 to 4 requests"), members={})
    what = parts(found, synchrony=0.0, observed_share=None, switches_seen=0)
    assert what.what.startswith("Accounts that are always active (2 to 4 requests per bucket) started")
    assert "as fast as accounts that pause" in what.what
    assert "cannot list them" in what.next_step
    assert what.counter_evidence == []
