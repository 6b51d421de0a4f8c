"""From accepted episodes to corpora and adapters.

Invariant: a row of a corpus can be traced to the episode and turns it was made of.
"""

import folkways as folkways
