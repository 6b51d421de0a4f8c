"""Stored episodes played again: a replay without a model, and branches under changed conditions."""
