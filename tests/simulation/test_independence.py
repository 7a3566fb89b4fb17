"""The simulator does not use the detector: otherwise the detector would be tested on its own assumptions."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import importlib, pkgutil, sys
import pivotwatch.simulation
for part in pkgutil.walk_packages(pivotwatch.simulation.__path__, "pivotwatch.simulation."):
    importlib.import_module(part.name)
roots = ("pivotwatch", "pivotwatch_models", "river")
print(*sorted(name for name in sys.modules if name.partition(".")[0] in roots))
"""


def test_it_imports_no_module_of_the_detector() -> None:
    found = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    others = {name for name in found.stdout.split() if not name.startswith("pivotwatch.simulation")}
    assert "pivotwatch.simulation.campaigns" in found.stdout
    assert others <= {
        "pivotwatch",
        "pivotwatch.base",
        "pivotwatch.base.errors",
        "pivotwatch.base.partitioning",
        "pivotwatch.base.suggestions",
    }
