"""Students: smaller networks for a teacher to teach, as classifiers that are trained, saved and loaded like any."""

import copy
from collections.abc import Sequence

from torch import nn

from tl_course.distill_inputs import check_layers
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.freezing import blocks_of, unfreeze
from tl_course.pytorch.lora import merge_lora
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.zoo.small_cnn import SIZE, name_of


def shallow_student(teacher: TextClassifier, layers: Sequence[int] = (0, 2, 4)) -> TextClassifier:
    """A copy of the teacher with some of its layers, as DistilBERT was initialised (Sanh et al., 2019).

    Embeddings and head are copied as well. Left as it is, it answers poorly: no layer got the input it was trained on.

    Args:
        teacher: left as it is. LoRA is merged into the student's weights.
        layers: numbers of the teacher's layers, ascending, from 0; every second one is usual.

    Returns:
        The student, all of it trainable.

    Raises:
        BadInput: numbers that the teacher has no layer for, that do not ascend, or all layers; or a teacher whose
            layers share one set of weights (ALBERT).
    """
    check_layers(layers, teacher.backbone.model.config.num_hidden_layers, len(blocks_of(teacher.model)))
    student = copy.deepcopy(teacher)
    merge_lora(student.model)
    path = next(
        name
        for name, module in student.model.named_modules()
        if isinstance(module, nn.ModuleList) and list(module) == blocks_of(student.model)
    )
    kept = [student.model.get_submodule(f"{path}.{number}") for number in layers]
    student.model.set_submodule(path, nn.ModuleList(kept))
    student.backbone.model.config.num_hidden_layers = len(kept)
    unfreeze(student.model)
    student.model.eval()
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
