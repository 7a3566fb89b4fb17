"""The simulator knows nothing of the detector: else it would be tested on its own assumptions."""

from __future__ import annotations

import subprocess
import sys

LOADED = """
import importlib, pkgutil, sys
import streams.simulate
for part in pkgutil.walk_packages(streams.simulate.__path__, "streams.simulate."):
    importlib.import_module(part.name)
print(*sorted(name for name in sys.modules if name.partition(".")[0] in ("models", "streams", "river")))
"""


def test_it_loads_nothing_of_the_detector() -> None:
    found = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    others = {name for name in found.stdout.split() if not name.startswith("streams.simulate")}
    assert "streams.simulate.campaigns" in found.stdout
    assert others <= {"streams", "streams.errors"}
