"""Models that write: adaptations of a scenario, new scenarios around a norm, people for a role."""
