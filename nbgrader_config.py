"""nbgrader's settings for this course: solutions/ is what instructors have, notebooks/ is what learners open.

Submissions are executed in a sandbox and judged outside of it, by `nbgrader autograde` and formgrader as by
`tl-course grade`; see docs/grading.md.
"""

import os
import sys
from pathlib import Path

from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor
from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, ClearSolutions, GetGrades, SaveAutoGrades

from tl_course.grading.hidden import HideTests
from tl_course.grading.starter import StarterCode

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "tl_course"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
c.ExecutePreprocessor.timeout = 300

# nbgrader starts alembic by its name when it makes a gradebook, also where the environment is not activated
_programs = [str(Path(sys.executable).parent), *os.environ.get("PATH", os.defpath).split(os.pathsep)]
os.environ["PATH"] = os.pathsep.join(dict.fromkeys(_programs))

_steps = list(GenerateAssignment().preprocessors)
_steps.insert(_steps.index(ClearSolutions) + 1, StarterCode)
c.GenerateAssignment.preprocessors = _steps

_OURS = "tl_course.grading.preprocessors"  # by name: imported when a submission is graded
c.Autograde.exporter_class = f"{_OURS}.RepairingExporter"
c.Autograde.sanitize_preprocessors = [CheckCellMetadata]
c.Autograde.autograde_preprocessors = [
    f"{_OURS}.JudgeNotebook",
    SaveAutoGrades,
    f"{_OURS}.AskForLook",
    AssignLatePenalties,
    CheckCellMetadata,
]
c.GenerateFeedback.preprocessors = [GetGrades, HideTests, CSSHTMLHeaderPreprocessor]
