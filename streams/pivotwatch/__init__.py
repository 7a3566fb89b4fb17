"""pivotwatch finds campaigns of model distillation in a stream of requests.

The names in ``__all__`` are the public interface. Everything else is private and may change.

* `replay` runs the detection over files, tables or objects, and iterates over its alerts.
* `Detector` takes events as they come; its state can be stored and restored.
* `Settings`, `Event` and `Release` are what both take; `Alert` is what both give. `parse_alert` reads an
  alert from its JSON.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pivotwatch.contracts.alerts import Alert, parse_alert
    from pivotwatch.contracts.controls import Release
    from pivotwatch.contracts.events import Event
    from pivotwatch.detection.detector import Detector
    from pivotwatch.tools.replay import replay
    from pivotwatch_models.settings import Settings

__all__ = ["Alert", "Detector", "Event", "Release", "Settings", "__version__", "parse_alert", "replay"]
__version__ = "0.1.0"

# The module of each name, imported on first use: `import pivotwatch` imports none of them.
_MODULES = {
    "Alert": "pivotwatch.contracts.alerts",
    "Detector": "pivotwatch.detection.detector",
    "Event": "pivotwatch.contracts.events",
    "Release": "pivotwatch.contracts.controls",
    "Settings": "pivotwatch_models.settings",
    "parse_alert": "pivotwatch.contracts.alerts",
    "replay": "pivotwatch.tools.replay",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
