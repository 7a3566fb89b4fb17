"""The alert in the README is the first one of the commands that the README shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def shown(command: str) -> list[str]:
    """The arguments of the first command of that name in the README."""
    (line,) = re.findall(rf"^pivotwatch ({command} .*events\.jsonl\.gz.*)$", README, re.MULTILINE)
    return str(line).split()


@pytest.mark.slow
def test_the_alert_of_the_readme_is_what_replay_prints(tmp_path: Path) -> None:
    printed = ""
    for arguments in (shown("simulate"), shown("replay")):
        command = [sys.executable, "-m", "pivotwatch", *arguments]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        printed = done.stdout
    (sample,) = re.findall(r"^```\n((?:MEDIUM|HIGH|CRITICAL) .*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert sample.strip() == printed.partition("\n\n")[0], "paste this alert into README.md"
