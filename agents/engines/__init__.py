"""One file per model engine; `agents.model` chooses among them by name."""
