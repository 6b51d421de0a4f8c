"""The shipped personas, read from their pool files.

Invariant: no two personas share an id.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from scenarios.persona import Persona, PersonaPool
from scenarios.problem import Finding, SourceError, show_value
from scenarios.schema import load_model

PERSONA_FOLDER = Path(__file__).parent / "personas"


def read_pool(path: Path) -> tuple[Persona, ...]:
    """Return the personas of one pool file, in the order they are written.

    Raises UserError with line and column for whatever is not YAML or not allowed by the schema, and
    for an id that is given twice.
    """
    pool, source = load_model(path, PersonaPool)
    ids = [persona.id for persona in pool.personas]
    repeated = [
        Finding(("personas", number, "id"), "this id is taken; choose another", show_value(name))
        for number, name in enumerate(ids)
        if name in ids[:number]
    ]
    if repeated:
        raise SourceError(source.name, map(source.place, repeated))
    return pool.personas


@cache
def load_personas() -> dict[str, Persona]:
    """Return the shipped personas by id, pool after pool; read once, not to be changed."""
    pools = [read_pool(path) for path in sorted(PERSONA_FOLDER.glob("*.yaml"))]
    return {persona.id: persona for pool in pools for persona in pool}
