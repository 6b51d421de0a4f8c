"""Asking a model the survey: prompts, option orders, read-outs, and the sheets that are stored."""
