"""Did the model move: survey items, human data, read-outs and metrics.

Invariant: a score is never shown without its baselines, its interval and its valid-answer rate.
"""

import folkways as folkways
