"""Draws curves as a self-contained SVG that is readable on light and dark backgrounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from pivotwatch.base.svg import nice_top

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #333 }
.axis { stroke: #777 } .grid { stroke: #ddd } .line { fill: none; stroke-width: 2 }
.c0 { stroke: #0b62a4 } .f0 { fill: #0b62a4 } .c1 { stroke: #b3530b } .f1 { fill: #b3530b }
.c2 { stroke: #2a7a3f } .f2 { fill: #2a7a3f } .c3 { stroke: #7a3e9d } .f3 { fill: #7a3e9d }
.title { font-weight: 600 } .ground { fill: #fff }
@media (prefers-color-scheme: dark) {
 text { fill: #ccc } .grid { stroke: #3a3f46 } .axis { stroke: #999 } .ground { fill: #0d1117 }
 .c0 { stroke: #6cb6ff } .f0 { fill: #6cb6ff } .c1 { stroke: #f0a35e } .f1 { fill: #f0a35e }
 .c2 { stroke: #7fd08f } .f2 { fill: #7fd08f } .c3 { stroke: #cfa0ea } .f3 { fill: #cfa0ea }
}
"""
WIDTH, HEIGHT = 320, 220
LEFT, RIGHT, TOP, FOOT = 48, 18, 62, 28
COLUMNS = 3


@dataclasses.dataclass(frozen=True)
class Curve:
    """Values by size."""

    name: str
    points: Sequence[tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class Panel:
    """Curves over the same sizes, which are drawn at equal distances."""

    title: str
    curves: Sequence[Curve]


def draw(panels: Sequence[Panel], title: str) -> str:
    """Draw the panels.

    Examples
    --------
    >>> svg = draw([Panel("cost", [Curve("step", [(10, 1.0), (100, 2.0)])])], "Growth")
    >>> "prefers-color-scheme" in svg, 'points="48.0,127.0 302.0,62.0"' in svg
    (True, True)
    """
    rows = -(-len(panels) // COLUMNS)
    size = f"0 0 {WIDTH * min(COLUMNS, len(panels))} {HEIGHT * rows}"
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": size, "role": "img"})
    SubElement(root, "title").text = title
    SubElement(root, "style").text = STYLE
    SubElement(root, "rect", {"class": "ground", "width": "100%", "height": "100%"})
    for number, panel in enumerate(panels):
        x, y = WIDTH * (number % COLUMNS), HEIGHT * (number // COLUMNS)
        _panel(SubElement(root, "g", {"transform": f"translate({x},{y})"}), panel)
    return tostring(root, encoding="unicode") + "\n"


def short(number: float) -> str:
    """Write a number with few characters.

    Examples
    --------
    >>> short(10_000), short(1_000_000), short(2.5)
    ('10k', '1M', '2.5')
    """
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            return f"{number / unit:g}{name}"
    return f"{number:g}"


def _panel(group: Element, panel: Panel) -> None:
    sizes = [size for size, _ in panel.curves[0].points]
    top = nice_top(max(value for curve in panel.curves for _, value in curve.points), least=0.1)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(sizes) - 1)

    def x_of(size: int) -> float:
        return LEFT + step * sizes.index(size)

    def y_of(value: float) -> float:
        return TOP + (HEIGHT - TOP - FOOT) * (1 - value / top)

    _text(group, LEFT, 16, panel.title, "title")
    for share in (0.0, 0.5, 1.0):
        y = y_of(top * share)
        ends = {"x1": f"{LEFT}", "x2": f"{WIDTH - RIGHT}", "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
        SubElement(group, "line", ends | {"class": "grid" if share else "axis"})
        _text(group, LEFT - 6, y + 4, short(top * share), "tick", anchor="end")
    for size in sizes:
        _text(group, x_of(size), HEIGHT - 10, short(size), "tick", anchor="middle")
    for number, curve in enumerate(panel.curves):
        places = [(x_of(size), y_of(value)) for size, value in curve.points]
        listed = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        SubElement(group, "polyline", {"points": listed, "class": f"line c{number}"})
        for x, y in places:
            SubElement(group, "circle", {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "3", "class": f"f{number}"})
        left, top_of = LEFT + 130 * (number % 2), 24 + 16 * (number // 2)
        box = {"x": f"{left}", "y": f"{top_of}", "width": "10", "height": "10", "class": f"f{number}"}
        SubElement(group, "rect", box)
        _text(group, left + 14, top_of + 9, curve.name, "note")


def _text(group: Element, x: float, y: float, content: str, css: str, *, anchor: str = "start") -> None:
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": css, "text-anchor": anchor}
    SubElement(group, "text", attributes).text = content
