"""Flip-books where playing teaches: temperature, number of labels, learning rate.

Each draws what was measured and says its numbers in words. Text inside the pictures is English, as matplotlib's own
font has no Chinese; the words beside them are translated.
"""

from tl_course.plots_to_play.label_counts import label_efficiency
from tl_course.plots_to_play.rates import learning_rates
from tl_course.plots_to_play.temperature import soft_targets

__all__ = ["label_efficiency", "learning_rates", "soft_targets"]
