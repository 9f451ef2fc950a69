"""nbgrader's settings for this course: solutions/ is what instructors have, notebooks/ is what learners open."""

from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import ClearSolutions

from tl_course.grading.starter import StarterCode

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "tl_course"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
c.ExecutePreprocessor.timeout = 300

_steps = list(GenerateAssignment().preprocessors)
_steps.insert(_steps.index(ClearSolutions) + 1, StarterCode)
c.GenerateAssignment.preprocessors = _steps
