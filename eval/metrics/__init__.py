"""How far answers are from those of people: metrics, baselines, intervals, all pure functions."""
