r"""Text from outside (names, ids, notes, quoted input) on its way to a terminal, a log, a page or a chat.

Whoever sends events chooses the names in them. Characters that move a cursor, change the direction of the
text or are invisible become a visible escape such as ``\u202e``, so that two different names never look the
same.
In a chat, what would mention people, become a link or format the text is broken up: ``[@]everyone``.

Apply one function once, where the text leaves the program:

=========================  =================================================================================
`visible`                  a name or value, for a terminal, a page or a SIEM
`visible_message`          a whole message of the program that may quote input
`visible_json`             JSON that a person may look at; a parser reads the same value from it
`chat_text`                a name or sentence, for a chat that may read Markdown
`slack_text`               the same for Slack, whose mark-up has entities
=========================  =================================================================================
"""

from __future__ import annotations

import re

# A fixed set: the bytes of JSON must not depend on the version of Unicode that Python has.
_HIDDEN = (
    "\x00-\x1f\x7f-\x9f"  # Control characters: C0, DEL and C1.
    "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"  # Spaces other than the ordinary one.
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0"  # Without a glyph.
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2"  # Format characters of Arabic and Syriac.
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # Zero width, line separators, direction.
    "\ufe00-\ufe0f\ufeff\ufdd0-\ufdef\ufff0-\ufffb\ufffe\uffff"
    "\ud800-\udfff"  # Half of a pair.
    "\ue000-\uf8ff"  # Private use.
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U0010ffff"  # Tags, variation selectors, private use.
)
_CONTROL = re.compile(f"[{_HIDDEN}]")
# A backslash only where it would read as the beginning of an escape.
_VALUE = re.compile(rf"\\(?=x[0-9a-f]{{2}}|u[0-9a-f]{{4}}|U[0-9a-f]{{8}}|[nrt])|[{_HIDDEN}]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

_WORD = r"[^\W_]"
_CHAT_FORMAT = (
    r"[`*~|\[\]#]"
    rf"|(?<!{_WORD})_|_(?!{_WORD})"
    r"|^[-+=]"
    r"|(?<=@)[(:]"
    r"|(?P<broken>@|:(?=//)|(?<=\w)[.．。｡](?=[^\W\d_]{2}))"  # Some browsers read them as dots.
)
_SLACK = re.compile(_CHAT_FORMAT)
# A library for Slack makes mentions of "!channel>" and "@kim>", without a "<" before them.
_CHAT = re.compile(rf"{_CHAT_FORMAT}|<(?=[^\s\d])|(?<=\S)>|>(?!\d)|!(?=\S)|&(?=#?\w+;)|\\(?=[^\w\s])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def visible(text: str, *, lines: bool = False) -> str:
    r"""A name or value with every hidden character as an escape. Different texts stay different.

    Parameters
    ----------
    lines
        Whether line feeds stay as they are, for a note of several lines.

    Examples
    --------
    >>> print(visible("acct\x1b[2J \u202etxt.exe"), visible("\\u202e"), visible("CORP\\kim"), visible("a\nb"))
    acct\x1b[2J \u202etxt.exe \x5cu202e CORP\kim a\nb
    """
    if lines:
        return "\n".join(map(visible, text.replace("\r\n", "\n").split("\n")))
    return _printable(_VALUE.sub(_escape, text))


def visible_message(text: str, *, lines: bool = True) -> str:
    r"""A message of the program with every hidden character as an escape. Backslashes stay as they are.

    Parameters
    ----------
    lines
        Whether line feeds stay as they are.

    Examples
    --------
    >>> print(visible_message("expected a time, got 'x\\x1b'\nand \x9b31m"))
    expected a time, got 'x\x1b'
    and \x9b31m
    """
    if lines:
        return "\n".join(visible_message(line, lines=False) for line in text.split("\n"))
    return _printable(_CONTROL.sub(_escape, text))


def visible_json(raw: bytes, *, lines: bool = False) -> bytes:
    r"""JSON with every hidden character as ``\uXXXX``; a parser reads the same value from it.

    Parameters
    ----------
    raw
        Valid JSON in UTF-8.
    lines
        Whether line feeds between values stay; otherwise the result is one line.

    Examples
    --------
    >>> print(visible_json('{"account":\n"\u202ex"}'.encode()).decode())
    {"account": "\u202ex"}
    """
    if raw.isascii() and b"\x7f" not in raw and (lines or not _has_line_end(raw)):
        return raw

    def escape(match: re.Match[str]) -> str:
        char = match[0]
        if char in "\n\r\t":  # Valid JSON has them between values alone.
            return char if lines and char == "\n" else " "
        units = char.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))

    return _CONTROL.sub(escape, raw.decode()).encode()


def chat_text(text: str) -> str:
    r"""A name or sentence for a chat: no mention, no link, no Markdown, no HTML.

    Examples
    --------
    >>> print(chat_text("@everyone: see https://evil.example or [this](x) <@7> **now** pay_7, <0.01"))
    [@]everyone: see https[:]//evil[.]example or \x5bthis\x5d(x) \x3c[@]7\x3e \x2a\x2anow\x2a\x2a pay_7, <0.01
    >>> chat_text("203.0.113.0/24"), chat_text("claude-3.5-sonnet")
    ('203.0.113.0/24', 'claude-3.5-sonnet')
    """
    return _CHAT.sub(_inert, visible(text))


def slack_text(text: str) -> str:
    r"""A name or sentence for Slack: as `chat_text`, with the entities that Slack asks for.

    Examples
    --------
    >>> print(slack_text("AS1 <!channel> & *co* on evil.example"))
    AS1 &lt;!channel&gt; &amp; \x2aco\x2a on evil[.]example
    """
    return slack_entities(_SLACK.sub(_inert, visible(text)))


def slack_entities(text: str) -> str:
    """A text of the program itself, such as an address, within Slack's mark-up.

    Examples
    --------
    >>> slack_entities("https://page.example/?a=1&b=2")
    'https://page.example/?a=1&amp;b=2'
    """
    return re.sub("[&<>]", lambda match: _ENTITIES[match[0]], text)


def _has_line_end(raw: bytes) -> bool:
    return b"\n" in raw or b"\r" in raw or b"\t" in raw


def _printable(text: str) -> str:
    """Escape what this Python does not know: it is not assigned, or newer than this Python."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _written(char) for char in text)


def _escape(match: re.Match[str]) -> str:
    return _written(match[0])


def _written(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _inert(match: re.Match[str]) -> str:
    return f"[{match[0]}]" if match["broken"] else _escape(match)
