"""What a scene is: the schema of scenario files, cultures and personas, their loader and their
checks.

Invariant: this package imports nothing of folkways but the package `folkways`.
"""

import folkways as folkways
