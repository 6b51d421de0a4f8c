"""Every problem of a scenario file at once.

Invariant: a file without errors can be cast and played, and each of its roles, events and phases
can come into play.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from folkways.errors import UserError
from folkways.registry import CodeNotAllowed, look_beside
from scenarios.adaptation import deviations, load_scenes, relatives
from scenarios.casting import named_cultures, obstacles
from scenarios.checks.overlap import NEAR_DUPLICATE, leaks, shingles, similarity
from scenarios.checks.reach import unreachable
from scenarios.checks.references import contradictions, wrong_names
from scenarios.code import code_names, require_usable
from scenarios.culture import load_cultures
from scenarios.library import adapted, library
from scenarios.parsing.problem import Finding, Keys, Problem, Severity, nearest, show_value
from scenarios.parsing.salvage import salvage
from scenarios.parsing.validation import parse_source
from scenarios.parsing.yaml_file import read_yaml
from scenarios.persona import Persona
from scenarios.placeholder import stray_braces
from scenarios.pool import load_personas
from scenarios.sampling.population import populated
from scenarios.scenario import THEMES, Scenario
from scenarios.world.check import world_faults

_PLOT = (
    *("roles", "phases", "events", "limits", "stop", "policy", "relationships"),
    *("acts", "repeat"),
)
"""Sections that decide what can happen; an error in one makes any finding about reach a guess."""
_HARMLESS = ("text", "brief", "goal", "secret", "knows", "type", "closeness")
"""Keys in these sections that decide nothing."""


def check_file(
    path: Path,
    shipped: Mapping[str, Path] | None = None,
    personas: Mapping[str, Persona] | None = None,
) -> list[Problem]:
    """Return all problems of a file in the order of their positions; warnings are among them.

    `shipped` are the scenarios it must not repeat (default: the library), `personas` those who can
    play (default: the shipped ones). Raises UserError only when the file cannot be read at all.
    """
    source = read_yaml(path)
    if isinstance(source.data, dict) and "scenarios" in source.data and "roles" not in source.data:
        message = "is the configuration of a run, not a scenario; folkways run --dry-run checks it"
        return [source.place(Finding((), message))]
    placed = set(source.problems)
    if source.data is not None or not source.problems:
        scene, problems, source = parse_source(source, Scenario)
        wrong = [problem.path for problem in problems]
        scene = scene or salvage(source.data)
        told = {(one.line, one.column) for one in source.problems if one.severity == "error"}
        placed |= {one for one in problems if (one.line, one.column) not in told}
        if scene:
            people = load_personas() if personas is None else personas
            known = library() if shipped is None else shipped
            more = _findings(scene, path, known, people, wrong)
            placed |= {source.place(one) for one in more if not _follows(one, wrong)}
    return sorted(placed, key=lambda p: (p.line, p.column, p.severity, p.message))


def _findings(
    scene: Scenario,
    path: Path,
    shipped: Mapping[str, Path],
    personas: Mapping[str, Persona],
    wrong: Sequence[Keys],
) -> Iterator[Finding]:
    if scene.id != path.stem:
        yield Finding(("id",), "not the file's name", show_value(scene.id), show_value(path.stem))
    unknown = list(_once(wrong_names(scene, personas, load_cultures())))
    yield from unknown
    if scene.theme not in THEMES and (near := nearest(scene.theme, THEMES)):
        message = f"nearly the shipped theme '{near}'; keep it if it is a theme of your own"
        yield Finding(("theme",), message, show_value(scene.theme), severity="warning")
    yield from _own_code(scene, path)
    yield from contradictions(scene)
    yield from world_faults(scene)
    yield from leaks(scene)
    yield from stray_braces(scene)
    guessed = any(found.message.startswith("no such role") for found in unknown)
    if not guessed and not any(at[0] in _PLOT and at[-1] not in _HARMLESS for at in wrong if at):
        yield from unreachable(scene)
    nobody = any("culture" in finding.path or "persona" in finding.path for finding in unknown)
    wanted = [at for at in wrong if at and at[0] in ("roles", "culture")]
    if not nobody and all(at[-1] in _HARMLESS for at in wanted):
        yield from _uncastable(scene, personas)
    yield from _repeats(scene, path, shipped)
    parent = {**shipped, **adapted()}.get(scene.provenance.parent or "")
    if parent and not wrong:
        for original in load_scenes([parent]):
            yield from deviations(original, scene, relatives(scene, path))


def _once(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the same fault in several places once, at the first, with their number."""
    places: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        places[finding.message, finding.value].append(finding)
    for first, *others in places.values():
        more = f" (in {len(others) + 1} places)" if others else ""
        yield first._replace(message=first.message + more)


def _own_code(scene: Scenario, path: Path) -> Iterator[Finding]:
    """Yield what is wrong with the code that it names; without leave it is not tried."""
    for place, one in code_names(scene):
        if ":" not in one.name:
            continue
        look_beside(path)
        try:
            require_usable(one)
        except CodeNotAllowed:
            message = "is code, which is run only with --allow-code; not tried here"
            at = (*place, *one.key)
            yield Finding(at, message, show_value(one.name), severity="warning")
        except UserError as error:
            yield Finding((*place, *one.key), str(error))


def _follows(finding: Finding, wrong: Iterable[Keys]) -> bool:
    """Return whether a finding may only follow from a schema error at, in or around its place."""
    path = finding.path
    return any(at[: len(path)] == path or path[: len(at)] == at for at in wrong)


def _uncastable(scene: Scenario, personas: Mapping[str, Persona]) -> Iterator[Finding]:
    """Yield the roles for which the personas do not suffice, an error where it is so everywhere."""
    personas = populated(personas, named_cultures(scene))
    peopled = sorted({persona.culture for persona in personas.values()})
    cultures = [scene.culture] if scene.culture else peopled
    reasons: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for culture in cultures:
        for found in obstacles(scene, culture, personas):
            reasons[found.roles][culture] = found.reason
    for roles, by_culture in reasons.items():
        select = scene.roles[roles[0]].select
        path: Keys = ("roles", roles[0], "select") if select else ("roles", roles[0])
        where = "" if scene.culture else f" in {', '.join(by_culture)}"
        message = f"the scene cannot be cast{where}: {next(iter(by_culture.values()))}"
        everywhere = len(by_culture) == len(cultures) and set(cultures) <= set(peopled)
        severity: Severity = "error" if everywhere else "warning"
        yield Finding(path, message, severity=severity, key=True)


def _repeats(scene: Scenario, path: Path, shipped: Mapping[str, Path]) -> Iterator[Finding]:
    own = shingles(scene)
    for other_id, other in shipped.items():
        if other.resolve() == path.resolve() or other_id == scene.provenance.parent:
            continue
        alike = similarity(own, _shingles_of(other, other.stat().st_mtime_ns))
        if alike >= NEAR_DUPLICATE:
            message = f"nearly repeats '{other_id}' ({alike:.0%} of the word triples are the same)"
            yield Finding(("setting",), message, severity="warning")


@lru_cache(maxsize=4096)
def _shingles_of(path: Path, changed_ns: int) -> frozenset[tuple[str, ...]]:
    """Return the shingles of a library file, nothing for one that is not a scenario."""
    scene = salvage(read_yaml(path).data)
    return shingles(scene) if scene else frozenset()
