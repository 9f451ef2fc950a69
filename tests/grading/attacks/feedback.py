"""Writes the feedback of some students with nbgrader, in one process: ``python feedback.py ASSIGNMENT STUDENT...``.

Run in the course's folder.
"""

import logging
import sys
from pathlib import Path

from nbgrader.apps import NbGraderAPI
from traitlets.config.loader import PyFileConfigLoader


def main() -> None:
    """Generate feedback as `nbgrader generate_feedback` does."""
    assignment, *students = sys.argv[1:]
    config = PyFileConfigLoader("nbgrader_config.py").load_config()
    config.CourseDirectory.root = str(Path.cwd())
    api = NbGraderAPI(config=config)
    api.log.setLevel(logging.ERROR)
    for student in students:
        done = api.generate_feedback(assignment, student)
        if not done["success"]:
            print(student, done["log"][-500:], file=sys.stderr)


if __name__ == "__main__":
    main()
