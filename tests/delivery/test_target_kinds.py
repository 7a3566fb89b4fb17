"""Every kind of target has settings, a name in the list of kinds, and a test of what it receives."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pivotwatch.delivery.settings import KINDS, AnyTarget

TESTS = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))


def test_the_list_has_every_kind() -> None:
    kinds = {
        kind for model in get_args(AnyTarget) for kind in get_args(model.model_fields["kind"].annotation)
    }
    assert kinds == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_test_of_what_it_receives(kind: str) -> None:
    assert f'"{kind}"' in TESTS
