"""nbgrader's settings for this course: solutions/ is what instructors have, notebooks/ is what learners open."""

c = get_config()  # noqa: F821  (nbgrader defines it)

c.CourseDirectory.course_id = "tl_course"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
c.IncludeHeaderFooter.header = ""
c.ExecutePreprocessor.timeout = 300
