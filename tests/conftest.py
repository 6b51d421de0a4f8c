"""What holds for all tests: no terminal, no bound on the time a test may take, and neither leave to
run code nor a culture that another test gave.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from folkways.registry import code, set_code
from scenarios.culture import forget_cultures

for name in ("COLUMNS", "LINES"):  # pytest's workers name the size of a terminal they do not have
    os.environ.pop(name, None)

settings.register_profile("folkways", deadline=None)
settings.load_profile("folkways")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Let no test leave behind which code may be run, or cultures of its own."""
    before = code()
    yield
    set_code(before)
    forget_cultures()
