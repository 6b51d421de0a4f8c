"""Who acts: model engines, prompts, and the actors that turn a role's view of a scene into one act.

Invariant: an actor's prompt holds only what its role may know.
"""

import folkways as folkways
