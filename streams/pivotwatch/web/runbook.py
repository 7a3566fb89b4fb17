"""Renders the runbook: ``python -m pivotwatch.web.runbook`` turns ``infra/runbook.md`` into HTML.

The result is a template of this package, so an installed package needs nothing to render it.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE.parents[2] / "infra" / "runbook.md"
RENDERED = HERE / "templates" / "runbook_text.html"


def render(text: str) -> str:
    r"""The runbook as HTML. The id of a heading is its text, which alerts link to.

    Examples
    --------
    >>> render("## evidence-grew")
    '<h2 id="evidence-grew">evidence-grew</h2>\n'
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token, content in itertools.pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", re.sub(r"[^a-z0-9]+", "-", content.content.lower()).strip("-"))
    html: str = parser.renderer.render(tokens, parser.options, {})
    # A wide table scrolls on its own, so the keyboard must reach it.
    html = html.replace("<table>", '<div class="wide" tabindex="0" role="group" aria-label="Table"><table>')
    html = html.replace("<pre>", '<pre tabindex="0">')
    return html.replace("</table>", "</table></div>").replace("<th>", '<th scope="col">')


if __name__ == "__main__":
    RENDERED.write_text(render(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
