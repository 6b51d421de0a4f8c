"""One scene, cast and played to whoever watches; nothing is stored.

Invariant: a scene is cast here as a run with the same seed and settings would cast it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.actor import ReplyForm
from agents.models.base import Model, default_reply_form, open_model
from agents.models.health import Guarded
from folkways.clock import utc_now
from scenarios.casting import cast_scenario
from scenarios.code import require_code
from scenarios.culture import load_cultures, named_culture
from scenarios.library import find_scenario, load_scenario
from scenarios.persona import Persona
from scenarios.scenario import Scenario
from simulation.config import RunConfig, parse_config
from simulation.episode.budget import Budget, BudgetConfig
from simulation.episode.entry import Entry
from simulation.episode.episode import Conditions, Episode, play_episode
from simulation.episode.scene_state import SceneState
from simulation.episode.seats import CallSettings
from simulation.plan import people_for, require_sound
from simulation.profile import with_profile
from simulation.store.record import Record

Watch = Callable[[SceneState, Sequence[Entry]], None]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A scene that is ready to be shown or played."""

    source: str
    """File or id of the scenario."""
    scenario: Scenario
    culture_id: str
    people: Mapping[str, Persona]
    """Those who can be cast, by id."""
    config: RunConfig
    seed: int
    form: ReplyForm

    def stage(self) -> SceneState:
        """Return the scene before anybody has acted."""
        cast = cast_scenario(self.scenario, self.culture_id, self.people, random.Random(self.seed))
        return SceneState(
            self.scenario,
            cast,
            load_cultures(),
            self.scenario.language,
            self.form,
            self.config.conditioning,
            play=self.config.play,
        )

    async def play(self, watch: Watch | None = None, model: Model | None = None) -> Record:
        """Play it with the model of the configuration, or the one that is given; `watch` is given
        entries as they come.

        Raises UserError where the model, or a turn policy, cannot be used.
        """
        require_code(self.scenario, find_scenario(self.source))
        config = self.config.model
        engine = Guarded(model or open_model(config.name, config.options))
        await engine.start()
        settings = CallSettings(config.sampling(), config.timeout_s, config.repairs)
        conditions = Conditions(
            "play",
            engine,
            settings,
            self.form,
            self.config.conditioning,
            self.people,
            load_cultures(),
            utc_now,
            play=self.config.play,
        )
        episode = Episode(
            "0" * 16, self.scenario, self.culture_id, self.scenario.language, 0, self.seed
        )
        try:
            return await play_episode(
                episode, conditions, Budget(BudgetConfig(), time.monotonic), watch
            )
        finally:
            await engine.close()


def rehearse(
    name: str,
    settings: Mapping[str, Any],
    culture: str | None = None,
    seed: int = 0,
    turns: int | None = None,
) -> Rehearsal:
    """Return the scene of a file, or of a shipped id, ready to be played.

    `settings` are those of a run that matter here: model, conditioning, cast. Raises UserError for
    a file with errors, for faulty settings, and where nobody can be cast.
    """
    config = with_profile(parse_config({"name": "play"} | dict(settings), ""))
    scenario = load_scenario(name)
    if turns is not None:
        limits = scenario.limits.model_copy(update={"turns": turns})
        scenario = scenario.model_copy(update={"limits": limits})
    culture_id = (named_culture(culture).id if culture else None) or scenario.culture or "GBR"
    wanted = config.model_copy(update={"cultures": (culture_id,), "seed": seed})
    people = people_for(wanted, (scenario,))
    require_sound(name, people)
    form = config.model.reply_form
    if form == "auto":
        form = default_reply_form(config.model.name)
    return Rehearsal(name, scenario, culture_id, people, config, seed, form)
