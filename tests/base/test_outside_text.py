"""Text from outside: what comes out is visible, harmless, and still tells two texts apart."""

from __future__ import annotations

import logging
import re
import sys
import unicodedata

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.base.log_format import LogFormat
from pivotwatch.base.outside_text import chat_text, slack_text, visible, visible_json, visible_message
from tests.base.hostile import LIVE, hidden_in

ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|([nrt]))")
ANY = st.text(st.characters(exclude_categories=()), max_size=60)
TRICKY = st.text("\\xu0219en\x1b\u202e@[]._:/<>&*#() \n", max_size=30)


def original(shown: str) -> str:
    """The text that `visible` was given."""
    short = {"n": "\n", "r": "\r", "t": "\t"}
    return ESCAPE.sub(lambda m: short[m[4]] if m[4] else chr(int(m[1] or m[2] or m[3], 16)), shown)


@given(ANY | TRICKY)
def test_a_value_is_visible_and_no_other_value_looks_like_it(text: str) -> None:
    shown = visible(text)
    assert hidden_in(shown) == []
    assert original(shown) == text


@given(ANY | TRICKY)
def test_every_other_form_is_visible_too(text: str) -> None:
    for show in (visible_message, chat_text, slack_text):
        assert hidden_in(show(text).replace("\n", "")) == []
    assert hidden_in(visible(text, lines=True).replace("\n", "")) == []
    assert hidden_in(visible_message(text, lines=False)) == []


@given(ANY | TRICKY)
def test_a_chat_tells_any_two_texts_apart(text: str) -> None:
    assert original(re.sub(r"\[([.．。｡:@])\]", r"\1", chat_text(text))) == text


def test_all_control_format_and_separator_characters_are_hidden() -> None:
    missed = [
        f"U+{code:04X}"
        for code in range(sys.maxunicode + 1)
        if (category := unicodedata.category(chr(code))) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
        or (category == "Zs" and code != 0x20)
        if len(visible(chr(code))) == 1
        or (code not in range(0xD800, 0xE000) and chr(code) in _json(chr(code)))
    ]
    assert missed == []


def _json(text: str) -> str:
    return visible_json(orjson.dumps(text)).decode()


@given(
    st.recursive(st.text(max_size=20) | st.none(), lambda inner: st.dictionaries(st.text(max_size=9), inner))
)
def test_json_keeps_its_value(value: object) -> None:
    for option in (0, orjson.OPT_INDENT_2):
        raw = orjson.dumps(value, option=option)
        for lines in (False, True):
            shown = visible_json(raw, lines=lines)
            assert orjson.loads(shown) == value
            text = shown.decode()
            assert hidden_in(text.replace("\n", "") if lines else text, fixed=True) == []
            assert visible_json(shown, lines=lines) == shown


@given(st.lists(st.sampled_from(LIVE) | st.text(max_size=5), max_size=6).map(" ".join))
def test_nothing_in_a_chat_is_live(text: str) -> None:
    assert [live for live in LIVE if live in chat_text(text)] == []
    # Slack needs "<" and "&" as entities.
    assert [live for live in LIVE if live in slack_text(text) and live[0] not in "&!"] == []
    assert not re.search(r"<[@!#a-zA-Z/:]|!\S|(?<!\[)@|\]\(|\w\.[a-z]{2}|://", chat_text(text))
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)|(?<!\[)@|\w\.[a-z]{2}|://", slack_text(text))


@pytest.mark.parametrize(
    "name", ["AS64500", "203.0.113.0/24", "2001:db8::/48", "pay_7", "m-2", "gpt-4.1", "Müller & Co"]
)
def test_ordinary_names_stay_readable_in_a_chat(name: str) -> None:
    assert (visible(name), chat_text(name)) == (name, name)


def test_a_log_line_cannot_be_forged() -> None:
    try:
        raise ValueError("x\n12:00 ERROR accounts: \x1b[2Jforged")
    except ValueError:
        record = logging.LogRecord("x", 40, "", 0, "bad %s", ("a\n\u202eb",), sys.exc_info())
    first, *rest = LogFormat("%(message)s").format(record).split("\n")
    assert first == r"bad a\n\u202eb"
    assert all(line.startswith("  ") for line in rest)
    assert hidden_in("".join(rest)) == []
