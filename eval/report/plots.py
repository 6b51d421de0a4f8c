"""Every plot of a report: functions that return SVG text, or None where there is nothing to draw.

Invariant: a value that is null is left out, never drawn as 0.
"""

from eval.report.diversity_plot import draw_diversity
from eval.report.dot_plot import draw_gaps, draw_scores
from eval.report.item_plot import draw_items
from eval.report.map_plot import draw_map
from eval.report.matrix_plot import draw_matrices

__all__ = ["draw_diversity", "draw_gaps", "draw_items", "draw_map", "draw_matrices", "draw_scores"]
