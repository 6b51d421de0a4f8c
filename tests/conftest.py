"""What holds for all tests: no terminal, and no bound on the time a test may take."""

import os

from hypothesis import settings

for name in ("COLUMNS", "LINES"):  # pytest's workers name the size of a terminal they do not have
    os.environ.pop(name, None)

settings.register_profile("folkways", deadline=None)
settings.load_profile("folkways")
