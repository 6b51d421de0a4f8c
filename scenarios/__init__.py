"""What a scene is: the schema of scenario files, cultures and personas, their loader and their
checks.

Invariant: this package imports nothing else of folkways. All others import it, so that libraries
which report to their makers are told not to before any of them is imported.
"""

from folkways.telemetry import switch_off

switch_off()
