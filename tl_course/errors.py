"""The errors the course raises: one line that says what was expected, what came, and what to do."""


class CourseError(Exception):
    """Base of every error the course raises on purpose. Its message is meant for the learner."""


class BadInput(CourseError):
    """Input that cannot be used.

    Args:
        expected: what the caller should have given ("images of shape (N, H, W, 3) in [0, 1]").
        got: what came instead ("an array of shape (3, 224, 224)").
        remedy: what to do about it ("move the channel axis last: images.transpose(1, 2, 0)[None]").
    """

    def __init__(self, expected: str, got: str, remedy: str) -> None:
        from tl_course.i18n import _  # which raises these errors itself

        text = _("expected {expected}; got {got}; {remedy}")
        super().__init__(text.format(expected=expected, got=got, remedy=remedy))
        self.expected = expected
        self.got = got
        self.remedy = remedy
