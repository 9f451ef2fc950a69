"""Students: some of the teacher's layers, copied; a small CNN; both saved and loaded like any classifier."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tl_course import zoo
from tl_course.errors import BadInput
from tl_course.pytorch.adapters import add_adapters
from tl_course.pytorch.classifier import Classifier
from tl_course.pytorch.freezing import blocks_of, freeze_backbone
from tl_course.pytorch.lora import add_lora
from tl_course.pytorch.students import shallow_student, small_cnn
from tl_course.pytorch.text_classifier import TextClassifier

Make = Callable[..., TextClassifier]
TEXTS = ["a film", "quite a long and not very good book"]


def weights(module: torch.nn.Module) -> list[torch.Tensor]:
    return list(module.state_dict().values())


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra"])
def test_the_layers_asked_for_are_copied_with_embeddings_and_head(
    text_classifier: Make, kind: str, tmp_path: Path
) -> None:
    teacher = text_classifier(kind)
    before = teacher.logits(TEXTS)
    student = shallow_student(teacher, (0, 2))
    for mine, number in zip(blocks_of(student.model), (0, 2), strict=True):
        theirs = blocks_of(teacher.model)[number]
        assert all(torch.equal(a, b) for a, b in zip(weights(mine), weights(theirs), strict=True))
    assert torch.equal(student.model.get_parameter("head.weight"), teacher.model.get_parameter("head.weight"))
    with torch.no_grad():
        for parameter in student.model.parameters():
            parameter.add_(1e-2)
    np.testing.assert_array_equal(teacher.logits(TEXTS), before)  # nothing is shared
    assert teacher.backbone.model.config.num_hidden_layers == len(blocks_of(teacher.model)) == 3
    loaded = TextClassifier.load(student.save(tmp_path / "student"), device="cpu")
    np.testing.assert_allclose(loaded.logits(TEXTS), student.logits(TEXTS), atol=1e-6)
    assert len(blocks_of(loaded.model)) == 2


def test_the_order_of_layers_is_the_teachers(text_classifier: Make) -> None:
    teacher = text_classifier("bert")
    by_hand = copy.deepcopy(teacher.model)
    encoder: Any = by_hand.get_submodule("encoder.encoder")
    encoder.layer = torch.nn.ModuleList([encoder.layer[1], encoder.layer[2]])
    with torch.inference_mode():
        expected = by_hand(teacher.preprocess(TEXTS)).numpy()
    np.testing.assert_allclose(shallow_student(teacher, (1, 2)).logits(TEXTS), expected, atol=1e-6)


def test_all_of_the_student_is_trainable_and_lora_is_merged(text_classifier: Make) -> None:
    teacher = text_classifier("bert")
    freeze_backbone(teacher.model)
    add_lora(teacher.model, rank=2)
    with torch.no_grad():
        for name, parameter in teacher.model.named_parameters():
            if "lora" in name or parameter.requires_grad:
                parameter.add_(0.1)
    student = shallow_student(teacher, (0, 1))
    assert all(parameter.requires_grad for parameter in student.model.parameters())
    plain = shallow_student(text_classifier("bert"), (0, 1))
    assert [name for name, _p in student.model.named_parameters()] == [
        name for name, _p in plain.model.named_parameters()
    ]
    assert np.abs(student.logits(TEXTS) - plain.logits(TEXTS)).max() > 1e-3  # it has what LoRA learnt


def test_adapters_come_along(text_classifier: Make, tmp_path: Path) -> None:
    teacher = text_classifier("bert")
    add_adapters(teacher.model, size=4)
    student = shallow_student(teacher, (0, 2))
    loaded = TextClassifier.load(student.save(tmp_path / "student"), device="cpu")
    np.testing.assert_allclose(loaded.logits(TEXTS), student.logits(TEXTS), atol=1e-6)


@pytest.mark.parametrize("layers", [(), (0, 1, 2), (2, 0), (0, 0), (0, 3), (-1, 1)])
def test_layers_that_are_not_there_are_refused(text_classifier: Make, layers: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match="3 layers"):
        shallow_student(text_classifier("bert"), layers)


def test_layers_that_share_weights_are_refused(text_classifier: Make) -> None:
    with pytest.raises(BadInput, match="1 layers"):
        shallow_student(text_classifier("albert"), (0,))


@pytest.mark.parametrize(("channels", "image_size"), [(1, None), (3, 24)])
def test_a_small_cnn_is_saved_and_loaded(channels: int, image_size: int | None, tmp_path: Path) -> None:
    made = small_cnn(("a", "b"), channels=channels, image_size=image_size, width=4, device="cpu")
    images = np.random.default_rng(0).random((3, 20, 20, channels), dtype=np.float32)
    loaded = Classifier.load(made.save(tmp_path / "student"), device="cpu")
    np.testing.assert_allclose(loaded.logits(images), made.logits(images), atol=1e-6)
    assert made.backbone.features(images).shape == (3, 32)
    assert loaded.preprocess(images).shape[2:] == (image_size or 20,) * 2


def test_a_small_cnn_is_small_and_its_seed_decides() -> None:
    names = tuple("abcdefghij")
    images = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    first, same, other = (small_cnn(names, seed=seed, device="cpu") for seed in (0, 0, 1))
    assert sum(p.numel() for p in first.model.parameters()) == 98970
    np.testing.assert_array_equal(first.logits(images), same.logits(images))
    assert np.abs(first.logits(images) - other.logits(images)).max() > 0.01


def test_what_no_small_cnn_can_be_is_refused() -> None:
    with pytest.raises(BadInput, match="width"):
        small_cnn(("a", "b"), width=0)
    with pytest.raises(BadInput):
        small_cnn(("a", "b"), image_size=4)
    with pytest.raises(BadInput, match="random"):
        zoo.load("small_cnn_16x3", weights="pretrained")
