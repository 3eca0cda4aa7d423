"""A chart of times, on two logarithmic axes, as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 200, 40, 50
#: Colours that people with any colour vision tell apart (Okabe and Ito).
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

Points = Sequence[tuple[float, float]]


def chart(title: str, x_name: str, lines: Mapping[str, Points]) -> str:
    """Return a chart.

    :param lines: points by name: x and milliseconds, both positive
    """
    points = [point for line in lines.values() for point in line]
    x_axis = _Axis([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    y_axis = _Axis([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}"'
        f' height="{_HEIGHT}" font-family="sans-serif" font-size="12">'
    )
    parts = [
        head,
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 20, title),
        _text(_LEFT, _HEIGHT - 10, x_name),
        _text(8, _TOP - 8, "ms"),
        *_grid(x_axis, y_axis),
    ]
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(
            f"{x_axis.at(x):.1f},{y_axis.at(y):.1f}" for x, y in line
        )
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}"'
            ' stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{x_axis.at(x):.1f}" cy="{y_axis.at(y):.1f}" r="3"'
            f' fill="{colour}"/>'
            for x, y in line
        ]
        y = y_axis.at(line[-1][1])
        parts.append(_text(_WIDTH - _RIGHT + 8, y + 4, name, colour))
    return "\n".join([*parts, "</svg>\n"])


class _Axis:
    """Powers of ten between two places in pixels."""

    def __init__(self, values: Sequence[float], start: int, end: int) -> None:
        self.first = math.floor(math.log10(min(values)))
        self.last = max(math.ceil(math.log10(max(values))), self.first + 1)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        part = (math.log10(value) - self.first) / (self.last - self.first)
        return self._start + part * (self._end - self._start)

    def ticks(self) -> Iterator[float]:
        for power in range(self.first, self.last + 1):
            yield 10.0**power


def _grid(x_axis: _Axis, y_axis: _Axis) -> Iterator[str]:
    for value in x_axis.ticks():
        x = x_axis.at(value)
        yield _line(x, _TOP, x, _HEIGHT - _BOTTOM)
        yield _text(x - 8, _HEIGHT - _BOTTOM + 16, f"{value:,g}")
    for value in y_axis.ticks():
        y = y_axis.at(value)
        yield _line(_LEFT, y, _WIDTH - _RIGHT, y)
        yield _text(8, y + 4, f"{value:,g}")


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        ' stroke="#dddddd"/>'
    )


def _text(x: float, y: float, text: str, colour: str = "black") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">'
        f"{html.escape(text)}</text>"
    )
