"""Simulated request streams of a provider of AI models at a release, with the truth about them.

>>> from pivotwatch.simulation import SCENARIOS, generate
>>> simulation = generate("c1", seed=7, scale=0.02, days=1)
>>> sum(len(part.lines) for part in simulation.slices()) == simulation.totals["events"]
True

The world is built of its own knowledge alone: it shares neither code nor constants with the
detector, so that a fault of the one cannot hide a fault of the other.

Module by module: `rhythm` (hours of the week), `catalogue` (models and what happens to them),
`adoption` (how honest accounts take up a model), `world` (tables of networks and accounts),
`crew` and `campaigns` (extraction), `rollouts` and `disturbances` (honest things that look
strange), `stage` (where a story is put together), `scenarios` (the stories), `traffic` (from
accounts to events), `encode` (from events to lines), `truth` (what really happened),
`simulation` (all of it together), `files` and `kafka` (where it goes).

Everything follows from seed and parameters, to the byte. The honest population of a seed is
the same in every scenario of the same size, so scenarios can be compared in pairs.

Truth file
----------
One JSON object. What it shares with data sets of real streams:

``format``, ``name``, ``origin`` ("simulated"), ``labels``
    1; the scenario; how the labels came about.
``population_events``
    What happened to everybody: ``type`` (alias-upgrade, outage, withdrawal), ``model``,
    ``onset``, ``until``.
``campaigns``
    ``id``, ``type``, ``model``, ``onset`` (the first account moves), ``window_h`` (hours round
    the onset in which an alert counts), ``entities`` and ``related`` (lists of [kind, id] as
    alerts name them; an alert on any of them has found the campaign), ``info_ok`` (does an alert of
    severity info count), ``note`` (text, shares of the new model before the release and after
    the move, of the campaign and of the honest population, and when all had moved), ``members``
    (all account ids), ``exchanges`` (their successful requests in the stream),
    ``exchanges_to_model`` (those to the new model).
``organic``, ``unscored``
    Empty: who is not named here is honest.
``rollouts``, ``hard_negatives``
    Honest entities that could be mistaken: ``type``, ``kind``, ``id``, ``model``, ``onset``,
    ``window_h``, ``why``. An alert on a roll-out is counted apart, one on a hard negative is
    false. A campaign that never moves (c6) is a hard negative.
``pass``
    Proposed bars: ``min_recall`` (of campaigns), ``max_false_legit``, ``max_false_statistical``.
``network_days``, ``account_days``
    Entities seen, times the days of the stream.

And of its own: ``expectation`` (alert, silent, rollout, limit), ``seed``, ``parameters``,
``releases``, ``totals`` (events, failed, accounts, networks, exchanges by model).
"""

from pivotwatch.simulation.scenarios import SCENARIOS, Scenario
from pivotwatch.simulation.simulation import Simulation, generate
from pivotwatch.simulation.stage import Parameters

__all__ = ["SCENARIOS", "Parameters", "Scenario", "Simulation", "generate"]
