"""Everything that a role needs exists for every role: module, rights, workload, and its line in the guide."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from pivotwatch.config.config import Role
from pivotwatch.engine.kafka.acls import USERS
from pivotwatch.roles.registry import ROLES

ROOT = Path(__file__).parents[2]
NAMES = get_args(Role)


def test_the_registry_has_every_role() -> None:
    assert set(ROLES) == set(NAMES)


@pytest.mark.parametrize("role", NAMES)
def test_a_role_has_all_its_parts(role: Role) -> None:
    assert callable(import_module(ROLES[role]).run)
    assert role in USERS
    assert f"component: {role}}}" in (ROOT / f"infra/kubernetes/base/{role}.yaml").read_text()
    assert f"| `pivotwatch-{role}` |" in (ROOT / "infra/README.md").read_text()
