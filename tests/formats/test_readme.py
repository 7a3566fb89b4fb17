"""The runbook has a section for every transition, and the configuration in the README is valid."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

from pivotwatch.delivery.settings import KINDS, read_settings
from pivotwatch_models.incidents.transition import Reason

ROOT = Path(__file__).parents[2]
PARTS = ("Means", "Check", "Do", "Honest causes")


def test_every_transition_has_a_section_in_the_runbook() -> None:
    text = (ROOT / "infra/runbook.md").read_text()
    sections = dict(re.findall(r"^## (\S+)$\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    assert set(sections) == set(get_args(Reason))
    for section in sections.values():
        assert re.findall(r"^\*\*(.+?)\*\* ", section, re.MULTILINE) == list(PARTS)


def test_the_readme_configures_what_there_is() -> None:
    text = (ROOT / "streams/pivotwatch/formats/README.md").read_text()
    [toml] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    settings = read_settings(tomllib.loads(toml)["delivery"])
    assert [target.kind for target in settings.targets] == ["alertmanager", "pagerduty"]
    assert all(f"`{kind}`" in text for kind in KINDS)
