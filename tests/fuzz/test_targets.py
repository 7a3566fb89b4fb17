"""The targets of ``make fuzz`` hold for what they begin with, and for plain noise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import Target, targets

TARGETS = targets()


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@settings(max_examples=30)
@given(st.data())
def test_a_decoder_never_raises(target: Target, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(list(target.seeds)))
    at = data.draw(st.integers(0, len(seed)))
    target.run(seed)
    target.run(seed[:at] + data.draw(st.binary(max_size=20)) + seed[at:])
