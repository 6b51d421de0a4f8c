"""Fictional people drawn for a culture: names, families, work and life stories."""
