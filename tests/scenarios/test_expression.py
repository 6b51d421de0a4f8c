"""What expressions about a world come to."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.world.expression import WorldFault, compiled, read_by

KNOWN: dict[str, Any] = {
    "wealth": {"ann": 5, "bob": 7}, "alive": {"ann": False, "bob": True},
    "pool": 100, "roles": ["ann", "bob"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("wealth[self] + tons", 8),
        ("wealth[self] < wealth[other] && wealth[self] < sum(wealth)", True),
        ("wealth[self] == 5 ? wealth[each] : 0", 7),
        ("min(wealth[self], wealth[each])", 5),
        ("'wealth[self]'", "wealth[self]"),
        ("'wealth[self]' + string(wealth[self])", "wealth[self]5"),
        ("roles.exists(self, alive[self])", True),
        ("roles.filter(each, alive[each]).size() + wealth[self]", 6),
        ("alive[self] || pool > 99", True),
    ],
)
def test_the_value_of_a_role_is_that_of_the_variable(text: str, value: Any) -> None:
    own = {"self": "ann", "each": "bob", "other": "bob", "tons": 3}
    assert compiled(text)(KNOWN, own) == value


def test_what_an_expression_reads_are_the_names_of_the_scene() -> None:
    assert set(read_by("wealth[self] + tons")) == {"wealth", "self", "tons"}


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("wealth[self]", {"self": "cleo"}), ("wealth[self]", {}), ("wealth[self]", None),
        ("pool[self]", {"self": "ann"}), ("gold[self]", {"self": "ann"}),
    ],
)  # fmt: skip
def test_a_value_that_is_not_there_is_a_fault(text: str, own: dict[str, Any] | None) -> None:
    with pytest.raises(WorldFault, match=r"^'\w+\[self\]' (asks for|has no value)"):
        compiled(text)(KNOWN, own)
