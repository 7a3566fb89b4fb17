"""Words that programs write where a value is missing."""

from __future__ import annotations

import itertools
from typing import Any

_ABSENT = frozenset({"", "none", "null", "nil", "undefined", "unknown", "n/a", "-", "<nil>", "(null)"})
_LONGEST_ABSENT = 20
ABSENT_IN_ANY_CASE = frozenset(
    "".join(letters)
    for word in _ABSENT
    for letters in itertools.product(*({letter, letter.upper()} for letter in word))
)
"""The words of `is_absent` in upper and lower case: a lookup in them is fast."""


def is_absent(value: Any) -> bool:
    """Whether a value says that there is none: nothing, or a word that a program writes for it.

    Examples
    --------
    >>> [is_absent(value) for value in (None, "", "None", " N/A ", "-", "acct-9", 0)]
    [True, True, True, True, True, False, False]
    """
    if type(value) is not str:
        return value is None
    return len(value) <= _LONGEST_ABSENT and value.strip().lower() in _ABSENT
