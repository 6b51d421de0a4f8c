"""YAML files read as plain data and checked against models, every fault told at its place."""
