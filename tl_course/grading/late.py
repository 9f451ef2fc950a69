"""A penalty for handing in late, by started days, as nbgrader's plugin. Without settings there is none.

In nbgrader_config.py:

    c.AssignLatePenalties.plugin_class = "tl_course.grading.late.LatePerDay"
    c.LatePerDay.per_day = 0.1  # a tenth of the score for each day started
    c.LatePerDay.grace_minutes = 15
    c.LatePerDay.max_share = 0.5

nbgrader counts the seconds from the due date, extensions included (`Gradebook.grant_extension`), and applies the
penalty to each notebook's score when it autogrades; grading again after an extension was granted takes it back.
"""

import math

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Float, Unicode, validate
from traitlets.utils.bunch import Bunch

from tl_course.errors import BadInput
from tl_course.i18n import _

DAY = 24 * 60 * 60  # seconds


class LatePerDay(LateSubmissionPlugin):
    """Takes a share of the score for each day started after the grace period."""

    per_day = Float(0.0, help="Share of the score, 0 to 1, that each started day costs. 0: no penalty.").tag(
        config=True
    )
    grace_minutes = Float(0.0, help="So late costs nothing; the days are counted from its end.").tag(config=True)
    max_share = Float(1.0, help="At most this share of the score, 0 to 1, is taken.").tag(config=True)
    penalty_method = Unicode("none", help="Not used here: see per_day.")

    @validate("per_day", "max_share")
    def _share(self, proposal: Bunch) -> float:
        return _within(proposal, 1.0)

    @validate("grace_minutes")
    def _minutes(self, proposal: Bunch) -> float:
        return _within(proposal, math.inf)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float | None:
        """The points that are taken, or None for no penalty.

        Args:
            student_id: who handed in; everybody is treated alike.
            score: what the notebook earned.
            total_seconds_late: seconds after the due date, which includes the student's extension.
        """
        seconds = total_seconds_late - self.grace_minutes * 60
        if seconds <= 0 or self.per_day == 0:
            return None
        return max(0.0, score) * min(self.max_share, self.per_day * math.ceil(seconds / DAY))


def _within(proposal: Bunch, largest: float) -> float:
    """The value of a setting.

    Raises:
        BadInput: it is not a number from 0 to ``largest``.
    """
    name = f"c.{type(proposal.owner).__name__}.{proposal.trait.name}"
    if not 0 <= proposal.value <= largest or math.isinf(proposal.value):
        expected = _("{name} of at least 0").format(name=name)
        if not math.isinf(largest):
            expected = _("{name} from 0 to {largest:g}, a share of the score").format(name=name, largest=largest)
        raise BadInput(expected, f"{proposal.value:g}", _("change it in nbgrader_config.py"))
    return proposal.value
