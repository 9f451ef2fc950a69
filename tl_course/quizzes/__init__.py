"""Quizzes: a few questions on each lesson, judged at once, with an explanation for every option."""

from tl_course.quizzes.questions import Judged, Question, all_questions, get, judge, of_lesson
from tl_course.quizzes.records import due, last, record, standings

__all__ = [
    "Judged",
    "Question",
    "all_questions",
    "due",
    "get",
    "judge",
    "last",
    "of_lesson",
    "record",
    "standings",
]
