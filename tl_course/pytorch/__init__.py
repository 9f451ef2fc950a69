"""The course's techniques in PyTorch. `tl_course.keras` has the same file names and the same public names."""
