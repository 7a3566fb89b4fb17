"""Simulated request streams of a provider of AI models around a release, with the truth about them.

>>> from pivotwatch.simulation import SCENARIOS, generate
>>> simulation = generate("c1", seed=7, scale=0.02, days=1)
>>> sum(len(part.lines) for part in simulation.slices()) == simulation.totals["events"]
True

The simulator shares neither code nor constants with the detector, so that an error in one cannot hide
an error in the other.

Modules: `rhythm` (hours of the week), `catalogue` (models and events in their life), `adoption` (how
honest accounts adopt a model), `world` (tables of networks and accounts), `campaign_accounts` and
`campaigns` and `late_campaigns` (extraction), `launches` and `programs` (honest launches that are
not like others), `rollouts` and `disturbances` (honest behaviour that looks suspicious),
`parameters`, `scenario_setup` (a scenario under construction), `scenarios`, `traffic` (from accounts
to events), `encode` (from events to lines), `truth` (the truth file), `simulation` (a complete
simulation), `files` and `kafka` (outputs).

Seed and parameters determine every byte. All scenarios of one size have the same honest population for
the same seed, so scenarios can be compared in pairs.

Truth file
----------
One JSON object. Truth files of real data sets have these keys as well:

``format``, ``name``, ``origin`` ("simulated"), ``labels``
    1; the name of the scenario; how the labels were made.
``population_events``
    Events that affect all accounts: ``type`` (alias-upgrade, outage, withdrawal), ``model``, ``onset``,
    ``until``.
``campaigns``
    ``id``, ``type``, ``model``, ``onset`` (first switch of an account), ``window_h`` (hours around the
    onset in which an alert counts), ``entities`` and ``related`` (lists of [kind, id] as in alerts; an
    alert on any of them finds the campaign), ``info_ok`` (whether an alert of severity info counts),
    ``note`` (a text; the shares of the new model before the release and after the switch, for the campaign
    and for honest accounts; when all accounts had switched), ``members`` (all account ids),
    ``exchanges`` (their successful requests in the stream), ``exchanges_to_model`` (those to the new
    model).
``organic``, ``unscored``
    Empty: every account that no other key names is honest.
``rollouts``, ``hard_negatives``
    Honest entities that look like a campaign: ``type``, ``kind``, ``id``, ``model``, ``onset``,
    ``window_h``, ``why``. Alerts on roll-outs are counted separately. Alerts on hard negatives are false.
    A campaign that never switches (c6) is a hard negative.
``pass``
    Proposed limits: ``min_recall`` (of campaigns), ``max_false_legit``, ``max_false_statistical``.
``network_days``, ``account_days``
    Number of networks and accounts in the stream, times its length in days.

Simulations also have ``expectation`` (alert, silent, rollout, limit), ``seed``, ``parameters``,
``releases`` and ``totals`` (events, failed, accounts, networks, exchanges by model).
"""

from pivotwatch.simulation.parameters import Parameters
from pivotwatch.simulation.scenario import Scenario
from pivotwatch.simulation.scenarios import SCENARIOS
from pivotwatch.simulation.simulation import Simulation, generate

__all__ = ["SCENARIOS", "Parameters", "Scenario", "Simulation", "generate"]
