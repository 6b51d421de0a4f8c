"""Any prompt of any stored episode can be rebuilt exactly, and a damaged log is noticed."""

import asyncio
from pathlib import Path

import duckdb
import pytest
from scenes import text_of

from folkways.errors import UserError
from simulation.config import RunConfig
from simulation.plan import make_plan
from simulation.replay.player import Changed, replay
from simulation.run import launch


@pytest.fixture(scope="module", params=["json", "script"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the whole library in one culture."""
    out = tmp_path_factory.mktemp(request.param)
    model = {"name": "fake", "reply_form": request.param}
    data = {"name": "trial", "cultures": ["JPN"], "model": model, "out": str(out)}
    assert launch(make_plan(RunConfig.model_validate(data)), limit=None, fresh=False, quiet=True)
    return out / "trial"


def test_every_prompt_is_rebuilt_to_its_hash_and_the_log_comes_out_the_same(run: Path) -> None:
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        episodes = [row[0] for row in con.execute("select episode_id from episodes").fetchall()]
        calls = dict(con.execute("select episode_id, count(*) from calls group by 1").fetchall())
        for episode in episodes:
            again = asyncio.run(replay(con, episode))
            stored = con.execute(
                "select speaker, action, text, addressees, audience, whisper, failure, call "
                "from turns where episode_id = ? order by turn", [episode]
            ).fetchall()  # fmt: skip
            turns = [entry for entry in again.state["log"] if entry["kind"] == "turn"]
            assert [
                (t["speaker"], t["action"], t["text"], t["addressees"], t["audience"],
                 t["whisper"], t["failure"], t["call"]) for t in turns
            ] == stored  # fmt: skip
            assert len(again.calls) == calls[episode]


def test_no_rebuilt_prompt_holds_another_roles_secret(run: Path) -> None:
    with duckdb.connect(str(run / "log.duckdb"), read_only=True) as con:
        secrets = con.execute(
            "select episode_id, role, secret from roles where secret is not null"
        ).fetchall()
        assert len(secrets) >= 28
        for episode in {episode for episode, _, _ in secrets}:
            kept = [(role, text) for e, role, text in secrets if e == episode]
            for call in asyncio.run(replay(con, episode)).calls:
                for role, secret in kept:
                    if call.role != role:
                        assert secret not in text_of(call.prompt), (episode, call.purpose)


def test_a_log_that_was_tampered_with_is_noticed(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "log.duckdb"
    copy.write_bytes((run / "log.duckdb").read_bytes())
    with duckdb.connect(str(copy)) as con:
        row = con.execute(
            "select episode_id, call, reply from calls where purpose = 'act' and role is not null "
            "and step = 1 order by all limit 1"
        ).fetchone()
        assert row is not None
        reply = '{"action": "speak", "to": [], "whisper": false, "text": "I never said this."}'
        con.execute(
            "update calls set reply = ? where episode_id = ? and call = ?", [reply, row[0], row[1]]
        )
        with pytest.raises(Changed, match=row[0]):
            asyncio.run(replay(con, row[0]))
        with pytest.raises(UserError, match="no episode 'nothing'"):
            asyncio.run(replay(con, "nothing"))
