"""The course's techniques in Keras. `tl_course.pytorch` has the same file names and the same public names."""
