"""Settings that all tests share; they hold in the processes that tests start as well."""

import os

os.environ["LANGUAGE"] = "en"  # what tests compare with

import tl_course  # noqa: F401  (quietens the frameworks before any test imports one)

# pytest-xdist runs two workers on two cores: one thread each, unless said otherwise. Before torch or TensorFlow loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# matplotlib without a screen, and no hub is asked for anything: tests run offline.
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
