"""Corpora: the episodes of a run as rows that a language model can be trained on."""
