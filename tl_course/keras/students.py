"""Students: smaller networks for a teacher to teach, as classifiers that are trained, saved and loaded like any."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tl_course.classifier_file import ClassifierFile
from tl_course.distill_inputs import check_layers
from tl_course.keras import text_files
from tl_course.keras.adapters import adapter_size, add_adapters
from tl_course.keras.classifier import Classifier
from tl_course.keras.encoder import Encoder
from tl_course.keras.freezing import unfreeze
from tl_course.keras.text_classifier import TextClassifier
from tl_course.zoo.small_cnn import SIZE, name_of
from tl_course.zoo.texts_keras import KerasTextModel

_NUMBERED = re.compile(r"(encoder\.blocks|adapters)\.(\d+)\.(.+)")


def shallow_student(teacher: TextClassifier, layers: Sequence[int] = (0, 2, 4)) -> TextClassifier:
    """A copy of the teacher with some of its layers, as DistilBERT was initialised (Sanh et al., 2019).

    Embeddings and head are copied as well. Left as it is, it answers poorly: no layer got the input it was trained on.

    Args:
        teacher: left as it is. LoRA is merged into the student's weights.
        layers: numbers of the teacher's layers, ascending, from 0; every second one is usual.

    Returns:
        The student, all of it trainable.

    Raises:
        BadInput: numbers that the teacher has no layer for, that do not ascend, or all layers.
    """
    backbone, pooling, dropout = teacher.backbone, teacher.model.pooling, teacher.model.dropout.rate
    config = backbone.model.config
    check_layers(layers, config.num_layers)
    encoder = Encoder(replace(config, num_layers=len(layers)))
    weights = "pretrained" if backbone.weights else None
    fewer = KerasTextModel(backbone.name, weights, encoder, backbone.tokenizer, backbone.max_tokens)
    student = TextClassifier(fewer, teacher.class_names, pooling=pooling, dropout=dropout)
    size = adapter_size(teacher.model)
    if size is not None:
        add_adapters(student.model, size)
    details = text_files.describe(student.backbone, pooling, dropout)
    state = _kept(text_files.weights(teacher.model), layers)
    content = ClassifierFile("keras", backbone.name, None, (), (), teacher.class_names, state, details, "text")
    text_files.set_weights(student.model, content)
    unfreeze(student.model)
    return student


def small_cnn(
    class_names: Sequence[str],
    *,
    channels: int = 3,
    image_size: int | None = SIZE,
    width: int = 16,
    seed: int = 0,
    device: str | None = None,
) -> Classifier:
    """A CNN of four convolutions with random weights, `scratch.small_cnn`: width 16 has about 98,000 parameters.

    Args:
        class_names: K names.
        channels: of the images, 3 for colour and 1 for grey.
        image_size: images are resized to this height and width, at least 8; None leaves them.
        width: of the first convolution; each of the others is twice as wide as the one before it. Twice the width
            has about four times the parameters.
        seed: of the weights.
        device: see `Classifier.build`.

    Raises:
        BadInput: an option out of range, or class names that are not one or more different strings.
    """
    name = name_of(width, channels)
    return Classifier.build(name, class_names, weights=None, image_size=image_size, seed=seed, device=device)


def _kept(state: dict[str, np.ndarray], layers: Sequence[int]) -> dict[str, np.ndarray]:
    """The weights of these layers, numbered anew from 0, and all that belong to no layer."""
    kept = {}
    for name, array in state.items():
        found = _NUMBERED.fullmatch(name)
        if found is None:
            kept[name] = array
        elif int(found[2]) in layers:
            kept[f"{found[1]}.{list(layers).index(int(found[2]))}.{found[3]}"] = array
    return kept
