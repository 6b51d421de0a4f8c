"""One file per model engine; `agents.models.base` chooses among them by name."""
