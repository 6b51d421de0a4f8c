"""The plan of a run: its configuration resolved into contents, and the episodes that follow from
it.

Invariant: the same resolved configuration gives the same episodes with the same ids, in the same
order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.actor import ReplyForm
from agents.models.sampling import applied
from agents.template import load_template
from folkways.errors import UserError, unknown_name
from folkways.provenance import short_hash
from scenarios.casting import meets, named_cultures, obstacles
from scenarios.checks.check import check_file
from scenarios.code import require_code
from scenarios.culture import Culture, load_culture, load_cultures, own_cultures
from scenarios.library import (
    adapted,
    find_scenario,
    games,
    library,
    load_scenario,
    shipped,
    tiny,
    without_folders,
)
from scenarios.parsing.problem import SourceError
from scenarios.persona import Persona
from scenarios.pool import draw_pool, load_personas
from scenarios.sampling.name_book import known_cultures
from scenarios.sampling.population import populated, sample_personas
from scenarios.scenario import Scenario
from simulation.config import ModelConfig, RunConfig, config_hash, resolve, shaping
from simulation.episode.call import derived_seed
from simulation.episode.episode import Episode, content_of
from simulation.episode.seats import OTHERS, seat_rules
from simulation.profile import with_profile

_TEMPLATES = ("json", "script", "referee", "moderator", "draft")
REPLAYED = (*_TEMPLATES, "game_master")
"""Templates of the calls that make a scene."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that is ready to be played."""

    config: RunConfig
    resolved: dict[str, Any]
    """The configuration with every default and the hashes of all contents, plain data."""
    hash: str
    """Hash of what in `resolved` shapes the episodes."""
    scenarios: tuple[Scenario, ...]
    personas: Mapping[str, Persona]
    cultures: Mapping[str, Culture]
    form: ReplyForm

    def __len__(self) -> int:
        return self.config.replicates * sum(
            len(self._cultures(scenario)) for scenario in self.scenarios
        )

    def episodes(self) -> Iterator[Episode]:
        """Yield the episodes, replicates outermost: a run cut short covers every scenario."""
        for replicate in range(self.config.replicates):
            for scenario in self.scenarios:
                for culture_id in self._cultures(scenario):
                    yield self._episode(scenario, culture_id, replicate)

    def _cultures(self, scenario: Scenario) -> tuple[str, ...]:
        return (scenario.culture,) if scenario.culture else self.config.cultures

    def _episode(self, scenario: Scenario, culture_id: str, replicate: int) -> Episode:
        seed = derived_seed(self.config.seed, scenario.id, replicate)
        language = self.config.language or scenario.language
        parts = [self.hash, content_of(scenario)[0], culture_id, language, replicate, seed]
        content_hash = short_hash(json.dumps(parts))
        return Episode(content_hash, scenario, culture_id, language, replicate, seed)


def make_plan(config: RunConfig) -> Plan:
    """Load and check everything a configuration names. Raises UserError for what is missing."""
    config = with_profile(config)
    scenarios = _scenarios(config)
    for culture_id in config.cultures:
        load_culture(culture_id)
    personas = people_for(config, scenarios)
    cultures = _cultures_for(config, scenarios, personas)
    _require_people(config, scenarios, personas)
    _require_seats(config, scenarios, personas)
    _require_judge(config, scenarios)
    if not isinstance(config.scenarios, str):
        for name in sorted(set(without_folders(config.scenarios))):
            require_sound(name, personas)
    for scenario in scenarios:
        require_code(scenario)
    form = config.model.settled_form()
    config = config.model_copy(
        update={
            "model": config.model.model_copy(update={"reply_form": form}),
            "models": _settled_models(config),
        }
    )
    templates = (*_prompts(scenarios), *["thought"] * (config.play.thoughts is True))
    contents = {
        "scenarios": {scenario.id: content_of(scenario)[0] for scenario in scenarios},
        "personas": short_hash("".join(content_of(p)[0] for p in personas.values())),
        "cultures": short_hash("".join(content_of(c)[0] for c in cultures.values())),
        "prompts": {name: load_template(name).hash for name in templates},
        "sampling": applied(config.model.name, config.model.sampling()),
    }
    if config.seats:
        contents["seats"] = {
            name: applied(one.name, one.sampling()) for name, one in config.models.items()
        }
    resolved = resolve(config, contents)
    hash_ = config_hash(shaping(resolved))
    return Plan(config, resolved, hash_, scenarios, personas, cultures, form)


def _prompts(scenarios: Sequence[Scenario]) -> Sequence[str]:
    judged = any(scenario.is_judged for scenario in scenarios)
    return REPLAYED if judged else _TEMPLATES


def _cultures_for(
    config: RunConfig, scenarios: Sequence[Scenario], personas: Mapping[str, Persona]
) -> dict[str, Culture]:
    """Return the shipped cultures, and of those that the user has added the ones with a part in the
    run: what else this process was told of must not make the run another one."""
    people = [*personas.values(), *(one for scene in scenarios for one in scene.personas)]
    wanted = {*config.cultures, *(one.culture for one in people)}
    wanted.update(*map(named_cultures, scenarios))
    unused = {culture.id for culture in own_cultures()} - wanted
    return {id_: culture for id_, culture in load_cultures().items() if id_ not in unused}


def _require_seats(
    config: RunConfig, scenarios: Sequence[Scenario], personas: Mapping[str, Persona]
) -> None:
    """Raise UserError for a seat that no scenario has, or that nobody can take."""
    known = {OTHERS, *(name for scene in scenarios for name in (*scene.roles, *scene.teams))}
    people = [*personas.values(), *(one for scene in scenarios for one in scene.personas)]
    cultures = {*config.cultures, *(scene.culture for scene in scenarios if scene.culture)}
    for number, rule in enumerate(seat_rules(config.seats)):
        if rule.seat and rule.seat not in known:
            raise unknown_name("seat: a role, a team or *", rule.seat, known)
        if rule.select and not any(
            meets(rule.select, person, culture) for person in people for culture in cultures
        ):
            given = rule.select.model_dump(exclude_defaults=True)
            raise UserError(
                f"seats.{number}.select: nobody of {len(people)} personas who may be cast meets "
                f"{given}; loosen it, or add people under cast.pools"
            )


def _require_judge(config: RunConfig, scenarios: Sequence[Scenario]) -> None:
    """Raise UserError where a player that only acts would have to judge what comes of acts."""
    judged, name = [scene.id for scene in scenarios if scene.is_judged], config.model.name
    if judged and name.startswith(("rule:", "script:")):
        raise UserError(
            f"a game master judges acts of '{judged[0]}', and model '{name}' answers nothing but "
            "acts; give it a seat (models, and seats: {'*': NAME}) and another model as `model`"
        )


def _settled_models(config: RunConfig) -> dict[str, ModelConfig]:
    """Return the models of seats with what their play profiles give. Raises UserError for one model
    under two sets of options."""
    found = dict[str, ModelConfig]()
    options = {config.model.name: config.model.options}
    for name, given in config.models.items():
        if options.setdefault(given.name, given.options) != given.options:
            raise UserError(
                f"models.{name}: '{given.name}' is given with other options already; a model is "
                "opened once"
            )
        model = with_profile(config.model_copy(update={"model": given})).model
        found[name] = model.model_copy(update={"reply_form": model.settled_form()})
    return found


def _require_people(
    config: RunConfig, scenarios: tuple[Scenario, ...], personas: Mapping[str, Persona]
) -> None:
    """Raise UserError for a culture of the user's own that nobody can be cast from."""
    for culture_id in (*config.cultures, *(scene.culture for scene in scenarios if scene.culture)):
        if culture_id in known_cultures():
            continue
        for scene in scenarios:
            if scene.culture in (None, culture_id) and (
                found := obstacles(scene, culture_id, personas)
            ):
                raise UserError(
                    f"'{scene.id}' cannot be cast in {culture_id}: {found[0].reason}; no names are "
                    "known for this culture, so give people of it in cast.pools"
                )


def require_sound(name: str, personas: Mapping[str, Persona]) -> None:
    """Raise UserError for a user's scenario file that `scenario check` finds errors in."""
    path = find_scenario(name)
    if path in shipped().values():
        return
    problems = [p for p in check_file(path, personas=personas) if p.severity == "error"]
    if problems:
        raise SourceError(name, problems)


def _scenarios(config: RunConfig) -> tuple[Scenario, ...]:
    groups = {"all": library, "adapted": adapted, "tiny": tiny, "games": games}
    chosen = config.scenarios
    names = sorted(groups[chosen]()) if isinstance(chosen, str) else without_folders(chosen)
    loaded: dict[str, Scenario] = {}
    for name in names:
        scenario = load_scenario(name)
        if scenario.id in loaded:
            raise UserError(f"scenario id '{scenario.id}' is named twice; ids must differ in a run")
        if config.limits is not None:
            limits = config.limits.for_roles(len(scenario.roles))
            scenario = scenario.model_copy(update={"limits": limits})
        loaded[scenario.id] = scenario
    kept = tuple(s for s in loaded.values() if not config.themes or s.theme in config.themes)
    if not kept:
        there = ", ".join(sorted({scenario.theme for scenario in loaded.values()}))
        raise UserError(
            f"no scenario is left to play: check `scenarios` and `themes` (there are: {there})"
        )
    return kept


def people_for(config: RunConfig, scenarios: tuple[Scenario, ...]) -> dict[str, Persona]:
    """Return those who can be cast under a configuration. Raises UserError for a bad pool."""
    personas = dict(load_personas())
    named = {part.persona for scene in scenarios for part in scene.roles.values() if part.persona}
    for path in config.cast.pools:
        for persona in draw_pool(Path(path), config.seed, named):
            if persona.id in personas:
                raise UserError(f"{path}: persona id '{persona.id}' is taken")
            personas[persona.id] = persona
    if config.cast.source == "sampled":
        wanted = {*config.cultures, *(s.culture for s in scenarios if s.culture)}
        for culture_id in sorted(wanted):
            for persona in sample_personas(culture_id, config.cast.population, config.seed):
                personas[persona.id] = persona
        named = {part.persona for s in scenarios for part in s.roles.values() if part.persona}
        personas = {k: p for k, p in personas.items() if "-sampled-" in k or k in named}
    wanted = {*config.cultures, *(c for scene in scenarios for c in named_cultures(scene))}
    return populated(personas, wanted, config.seed)
