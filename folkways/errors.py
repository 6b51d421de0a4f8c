"""The errors of folkways, in one tree.

* FolkwaysError
  * UserError: one line for whoever uses folkways; the command line prints it and exits with 1
    * SourceError: a file of somebody's, with the line and column of each problem
    * CodeNotAllowed: a file names code, and nobody has allowed that
    * ModelUnavailable: an engine cannot be used at all
    * ScoresUnavailable: an engine cannot tell log-probabilities
    * StoreHeld: somebody else has the store open
    * Incomplete: all has been tried, and some of it is to be tried again
    * Changed: what is played again is no longer what was stored
  * CallFailed: one call of a model failed, and is recorded as that
  * BudgetSpent: the budget leaves no further call
  * Unreadable: a reply holds no act or answer
  * Refused: a text that a model wrote is not one that was asked for
  * Unanswered: an endpoint took no request, for a reason that is the endpoint's
  * NoEcho: an endpoint does not repeat a prompt with its log-probabilities
  * NoCopy: a file could not be copied while it stood still
  * Unfit: a row or an option that cannot be trained on

Invariant: whatever is none of these is a defect and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


class FolkwaysError(Exception):
    """Any error that folkways raises itself."""


class UserError(FolkwaysError):
    """Something the user can fix: what was wrong, the value, what is allowed, what to do next.

    The launcher prints it as text without a traceback and exits with status 1.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not in a table of names, listing the known ones."""
    return UserError(f"unknown {kind} '{name}'; known: {', '.join(sorted(known))}")
