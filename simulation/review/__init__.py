"""The review of stored episodes: detectors, critics, labels, filter policies and people's ratings.

Invariant: nothing here changes what was played; every judgement is a row beside it.
"""
