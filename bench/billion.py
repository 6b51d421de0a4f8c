"""What a billion turns take: tokens, money and disk, by what a turn takes in stores that exist.

Tokens of a turn come from the log of a real model; bytes of a turn from any store, and from its
shards. Prices are levels, not offers: put your own in.

Run it with: python bench/billion.py RUN STORE [SHARDS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

TURNS = 1_000_000_000
PRICES = {
    "small open model, rented": (0.05, 0.01, 0.20),
    "middle": (0.50, 0.10, 1.50),
    "large": (3.00, 0.30, 15.00),
}
"""US dollars for a million prompt tokens, prompt tokens from the prefix cache, and completion
tokens."""
USED = """
select sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), count(*),
    (select count(*) from turns)
from calls where step > 0
"""


def main(run: str, store: str, shards: str | None = None) -> None:
    """Print the table."""
    with duckdb.connect(str(Path(run) / "log.duckdb"), read_only=True) as con:
        prompt, cached, completion, calls, turns = con.execute(USED).fetchall()[0]
    print(
        f"{turns:,} turns of {run}: a turn takes {calls / turns:.2f} calls, "
        f"{prompt / turns:,.0f} prompt tokens, {cached / prompt:.0%} of them from the prefix "
        f"cache, and {completion / turns:.1f} completion tokens\n\na billion turns:"
    )
    for name, count in (("prompt", prompt), ("completion", completion)):
        print(f"  {TURNS * count / turns / 1e12:8.3f} million million {name} tokens")
    for name, (fresh, again, said) in PRICES.items():
        dollars = ((prompt - cached) * fresh + cached * again + completion * said) / turns / 1e6
        whole = (prompt * fresh + completion * said) / turns / 1e6
        print(
            f"  {TURNS * dollars:13,.0f} dollars, {TURNS * whole:13,.0f} without a prefix cache "
            f"({name}: {fresh:.2f}, {again:.2f}, {said:.2f})"
        )
    with duckdb.connect(str(Path(store) / "log.duckdb"), read_only=True) as con:
        stored = con.execute("select count(*) from turns").fetchall()[0][0]
    sizes = {"store": (Path(store) / "log.duckdb").stat().st_size}
    if shards:
        files = (file for file in Path(shards).rglob("*") if file.is_file())
        sizes["shards"] = sum(file.stat().st_size for file in files)
    for name, size in sizes.items():
        print(f"  {TURNS * size / stored / 1e9:8.1f} GB as {name} ({size / stored:.0f} bytes each)")


if __name__ == "__main__":
    main(*sys.argv[1:])
