"""All scenarios, by name."""

from __future__ import annotations

from pivotwatch.simulation.campaign_scenarios import CAMPAIGN_SCENARIOS
from pivotwatch.simulation.honest_scenarios import HONEST_SCENARIOS
from pivotwatch.simulation.late_scenarios import LATE_SCENARIOS
from pivotwatch.simulation.launch_scenarios import LAUNCH_SCENARIOS
from pivotwatch.simulation.scenario import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (*HONEST_SCENARIOS, *LAUNCH_SCENARIOS, *CAMPAIGN_SCENARIOS, *LATE_SCENARIOS)
}
