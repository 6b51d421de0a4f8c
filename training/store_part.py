"""What CultureSPA and experiments keep in a run's store: `sql/tables.sql`, `sql/views.sql`."""

from pathlib import Path

from simulation.store.part import Part

PART = Part(Path(__file__).with_name("sql"), counted={"spa_questions": "questions"})
