"""The phases of a scene as a graph, in Mermaid's notation and as a picture.

Invariant: text of a scenario is shown as text; it cannot carry markup of either notation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from scenarios.scenario import Phase, Scenario
from scenarios.stopping import Until

_WIDTH, _HEIGHT, _GAP, _LEFT = 260, 54, 44, 30
_LANE = 34
"""Distance of the lines that pass phases by, pixels."""


class _Edge(NamedTuple):
    start: int
    end: int
    """Number of a phase; one beyond the last is the end of the scene."""
    label: str


class PhaseGraph(NamedTuple):
    """Phases and what leads from one to another."""

    names: list[str]
    notes: list[str]
    """What happens in each phase."""
    edges: list[_Edge]

    def mermaid(self) -> str:
        """Return a Mermaid flow chart."""
        lines = ["flowchart TD"]
        for number, (name, note) in enumerate(zip(self.names, self.notes, strict=True)):
            lines.append(f'    p{number}["{_plain(name)}<br>{_plain(note)}"]')
        lines.append(f'    p{len(self.names)}(["end"])')
        for start, end, label in self.edges:
            told = f'|"{_plain(label)}"|' if label else ""
            lines.append(f"    p{start} -->{told} p{end}")
        return "\n".join(lines)

    def svg(self) -> str:
        """Return a picture: phases from top to bottom, lines that pass others by on the right."""
        count = len(self.names)
        passing = [edge for edge in self.edges if edge.end != edge.start + 1]
        width = _LEFT + _WIDTH + _LANE * (len(passing) + 1) + 220
        height = (count + 1) * (_HEIGHT + _GAP)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="13">',
            '<defs><marker id="tip" markerWidth="9" markerHeight="7" refX="8" refY="3.5" '
            'orient="auto"><path d="M0,0 L9,3.5 L0,7 z"/></marker></defs>',
        ]
        for number in range(count + 1):
            parts += self._box(number)
        for edge in self.edges:
            lane = passing.index(edge) + 1 if edge in passing else 0
            parts += _arrow(edge, lane)
        return "\n".join([*parts, "</svg>", ""])

    def _box(self, number: int) -> Iterator[str]:
        top, last = _top(number), number == len(self.names)
        yield (
            f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" '
            f'rx="{_HEIGHT // 2 if last else 6}" fill="#f4f1ea" stroke="#555"/>'
        )
        name, note = ("end", "") if last else (self.names[number], self.notes[number])
        for place, text, weight in ((22, name, "bold"), (41, note, "normal")):
            shown = escape(text if len(text) <= 38 else f"{text[:35]}...")
            yield (
                f'<text x="{_LEFT + 12}" y="{top + place}" font-weight="{weight}">{shown}</text>'
            )


def phase_graph(scene: Scenario) -> PhaseGraph:
    """Return the graph of a scene; without phases it has one."""
    phases = scene.phases or (Phase(id="scene", acts=(*Phase(id="scene").acts, *scene.acts)),)
    ids = [phase.id for phase in phases]
    labels = defaultdict[tuple[int, int], list[str]](list)
    for number, phase in enumerate(phases):
        for end, label in _following(scene, phase, number, ids):
            labels[number, end].append(label)
    edges = [_Edge(*ends, ", or ".join(told)) for ends, told in labels.items()]
    return PhaseGraph(ids, [_note(phase) for phase in phases], edges)


def _following(
    scene: Scenario, phase: Phase, number: int, ids: list[str]
) -> Iterator[tuple[int, str]]:
    for step in phase.next:
        end = len(ids) if step.phase == "end" else ids.index(step.phase)
        yield end, step.when or ""
        if step.when is None:
            return
    repeat, label = scene.repeat, "otherwise" if phase.next else ""
    if repeat and repeat.phases[-1] == phase.id:
        until = f", until {repeat.until}" if repeat.until else ""
        yield ids.index(repeat.phases[0]), f"{repeat.times} times{until}"
        label = "then"
    yield number + 1, label


def _note(phase: Phase) -> str:
    """Return what happens in a phase, in a few words."""
    if phase.vote:
        return f"vote ({phase.vote.rule}): {phase.vote.ask}"
    if phase.decide:
        return f"decide: {phase.decide.ask}"
    until = phase.until or Until()
    counted = ((until.turns, "turn"), (until.rounds, "round"))
    bounds = [f"{count} {unit}{'s' * (count > 1)}" for count, unit in counted if count]
    bounds += [f"until {until.event}"] if until.event else []
    bounds += [f"until {until.rule.rule}"] if until.rule else []
    return ", ".join([" / ".join(phase.acts) or "no acts", *bounds])


def _top(number: int) -> int:
    return _GAP // 2 + number * (_HEIGHT + _GAP)


def _arrow(edge: _Edge, lane: int) -> Iterator[str]:
    """Yield a line from one phase to another, straight down or in a lane on the right."""
    right, style = _LEFT + _WIDTH, 'fill="none" stroke="#555" marker-end="url(#tip)"'
    if not lane:
        x, y = _LEFT + _WIDTH // 2, _top(edge.start) + _HEIGHT
        yield f'<path d="M{x},{y} L{x},{_top(edge.end) - 2}" {style}/>'
        at = (x + 8, y + _GAP // 2 + 4)
    else:
        x, y, to = right + lane * _LANE, _top(edge.start) + 34, _top(edge.end) + 16
        yield f'<path d="M{right},{y} L{x},{y} L{x},{to} L{right + 2},{to}" {style}/>'
        at = (x + 6, (y + to) // 2 + 4)
    if edge.label:
        yield f'<text x="{at[0]}" y="{at[1]}" fill="#333">{escape(edge.label)}</text>'


def _plain(text: str) -> str:
    """Return a text that ends no label of Mermaid: its signs as entities of that notation."""
    signs = {'"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "#": "#35;", "|": "#124;"}
    return "".join(signs.get(one, one) for one in " ".join(text.split()))
