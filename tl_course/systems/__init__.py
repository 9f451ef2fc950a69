"""The source documents' code listings as working systems: data in, a trained and measured classifier out.

    systems.names()
    result = systems.run("pytorch-resnet18-folder", data="my_images", out="my_run")
    print(result.render_text())
    systems.predict(result.files["model"], ["a.jpg", "b.png"])
    result = systems.run("text-classify", data="mine.csv", text="review", label="stars")
    systems.predict_texts(result.files["model"], ["Just what I wanted."])
    systems.show_attention("The cat sat on the mat.")

Without data a system runs on a small demonstration; `tl-course run` and `tl-course predict` do the same in a shell.
Importing this package loads no framework.
"""

from tl_course.systems.attention_run import AttentionResult, show_attention
from tl_course.systems.catalogue import get, listing, names
from tl_course.systems.exported import kind_of
from tl_course.systems.prediction import Prediction, predict
from tl_course.systems.running import Result, run
from tl_course.systems.source import image_sets
from tl_course.systems.system import System
from tl_course.systems.text_prediction import predict_table, predict_texts

__all__ = [
    "AttentionResult",
    "Prediction",
    "Result",
    "System",
    "get",
    "image_sets",
    "kind_of",
    "listing",
    "names",
    "predict",
    "predict_table",
    "predict_texts",
    "run",
    "show_attention",
]
