"""Experiments: a whole study in one command, from scenes or questions to a survey score."""
