"""Names that a hostile customer chooses, and what must not be left of them where a person looks."""

from __future__ import annotations

import re

CONTROLS = (
    "\x00\x07\x08\x0b\x1b]0;owned\x07\x1b[2J\x7f\x85\x9b31m\r\n\t"
    "\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202d\u202e\u202c\u2060\u2066\u2067\u2068\u2069"
    "\ufeff\u00ad\ufe0f\U000e0041\U000e007f"
)
LIVE = (
    *(
        "@everyone",
        "@here",
        "@channel",
        "@all",
        "<!channel>",
        "<!here|x>",
        "!channel>",
        "<@U012AB3CD>",
        "<@&4711>",
        "<#C012AB3CD>",
    ),
    *(
        "http://evil.example",
        "https://evil.example/x?a=1&b=2",
        "www.evil.example",
        "evil.example/x",
        "kim@evil.example",
    ),
    *("[click](https://evil.example)", "<https://evil.example|click>", "![i](http://evil.example/i.png)"),
    *(
        "<at>kim</at>",
        "<script>",
        "<img src=x>",
        "**bold**",
        "`code`",
        "~~gone~~",
        "||spoiler||",
        "__under__",
    ),
    *("&lt;!channel&gt;", "&#64;everyone", "[ref]: https://evil.example"),
)
"""What chats make mentions, links, images or formats of."""
HOSTILE = "acct-" + CONTROLS + " ".join(LIVE)
"""A name with all of it; short enough for a field of an event."""

_FIXED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def hidden_in(text: str, *, fixed: bool = False) -> list[str]:
    """The characters of a text that a person would not see, as code points.

    Parameters
    ----------
    fixed
        Whether to look for control and direction characters alone, not for all that Python cannot print.
    """
    found = set(_FIXED.findall(text)) | (
        set() if fixed else {char for char in text if not char.isprintable()}
    )
    return sorted(f"U+{ord(char):04X}" for char in found)
