"""Listing 69 once more, in Keras: documents sorted into classes by a fine-tuned encoder, with its evaluation.

transformers has no models for Keras any more; the course's own encoder carries MiniLM's weights. Everything else is as
in text-classify, its twin in PyTorch.
"""

from dataclasses import replace

from tl_course.systems import text_classify

SYSTEM = replace(
    text_classify.SYSTEM,
    name="keras-text-classify",
    framework="keras",
    title="the same in Keras: documents sorted into classes, from a table",
)
