"""Which stored episodes are played again, and what is said of those that are still to be played.

Invariant: what the endpoint, the budget or our own code cut short is no result; nothing is retried
for ever.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agents.models.health import NO_RESULT, REMEDIES
from simulation.store.writer import Store

RETRIED = {"budget": math.inf, "endpoint-failure": 3, "error": 2}
"""Exit reasons after which the same command plays an episode again, and how often it may end so:
the same seed meets the same error, and an endpoint that works for others may fail one scene."""
_ENDINGS = """
with told as (
    select content_hash, attempt, exit_detail,
        case when exit_reason = 'model-failure' and list_contains(?, exit_detail)
            then 'endpoint-failure' else exit_reason end as reason
    from episodes
)
select content_hash, attempt, reason, count(*) over (partition by content_hash, reason),
    coalesce(exit_detail, '')
from told
qualify row_number() over (partition by content_hash order by attempt desc) = 1
"""
"""Stores of earlier versions called a failure of the endpoint one of the model."""
_LAST_FAULT = """
select reply from calls join episodes using (episode_id)
where failure is not null and exit_reason = 'endpoint-failure'
order by started_at desc, call desc limit 1
"""


class Ending(NamedTuple):
    """How the latest attempt at an episode has ended."""

    attempt: int
    reason: str
    times: int
    """Attempts that have ended so."""
    detail: str

    def is_open(self, retry: bool = False) -> bool:
        """Return whether it is to be played again; `retry` plays again what would stand."""
        bound = RETRIED.get(self.reason, 0)
        return self.times < (math.inf if retry and bound else bound)


def endings(store: Store) -> dict[str, Ending]:
    """Return how the stored episodes have ended, by content hash."""
    with store.reading() as con:
        rows = con.execute(_ENDINGS, [list(NO_RESULT)]).fetchall()
    return {content_hash: Ending(*rest) for content_hash, *rest in rows}


def unfinished(store: Store, wanted: Iterable[str]) -> str | None:
    """Return what is to be said of the episodes, by content hash, that are stored and not done;
    None where all are.
    """
    stored, hashes = endings(store), set(wanted)
    found = {hash_: one for hash_, one in stored.items() if hash_ in hashes}
    parts = [*_failed(store, found), *_broken(found)]
    return f"{store.path.parent}: {'; '.join(parts)}" if parts else None


def _failed(store: Store, found: Mapping[str, Ending]) -> list[str]:
    """Return a sentence on those that the endpoint failed."""
    some = [o for o in found.values() if o.reason == "endpoint-failure" and o.is_open()]
    if not some:
        return []
    kinds = ", ".join(f"{kind} {n}" for kind, n in Counter(o.detail for o in some).most_common())
    with store.reading() as con:
        told = con.execute(_LAST_FAULT).fetchone()
    why = f", the last: {' '.join(told[0].split())[:300]}" if told and told[0] else ""
    kind = Counter(one.detail for one in some).most_common(1)[0][0]
    remedy = f"; {REMEDIES[kind]}" if kind in REMEDIES else ""
    return [
        f"{len(some)} of {len(found)} episodes ended because calls failed ({kinds}{why}), which is "
        f"not a result{remedy}; the same command plays them again"
    ]


def _broken(found: Mapping[str, Ending]) -> list[str]:
    """Return a sentence on those that an exception ended, whether they are played again or not."""
    some = [one for one in found.values() if one.reason == "error"]
    if not some:
        return []
    lines = Counter(_error_of(one.detail) for one in some)
    line, count = lines.most_common(1)[0]
    more = f" and {len(lines) - 1} other errors" if len(lines) > 1 else ""
    again = sum(one.is_open() for one in some)
    what = [f"the same command plays {again} of them once more"] if again else []
    if again < len(some):
        what.append(f"{len(some) - again} failed at every try and are left, unless with --retry")
    return [
        f"{len(some)} of {len(found)} episodes ended in an internal error ({count} of them: "
        f'{line[:200]}{more}); {", ".join(what)}; the tracebacks: folkways sql RUN "select '
        "episode_id, exit_detail from episodes where exit_reason = 'error'\""
    ]


def _error_of(told: str) -> str:
    """Return the line of a traceback that names the error; what else was noted follows it."""
    lines = told.splitlines() or [""]
    indented = [place for place, line in enumerate(lines) if line.startswith(" ")]
    return lines[min(indented[-1] + 1, len(lines) - 1) if indented else -1]
