"""One object and one file for model, preprocessing and class names."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tl_course import classifier_file, zoo
from tl_course.classifier_file import ClassifierFile
from tl_course.errors import BadInput
from tl_course.pytorch.classifier import Classifier, load

NAMES = ("ankle boot", "bag", "coat")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.build("fashion_resnet", NAMES, seed=1, device="cpu")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((40, 20, 24, 1), dtype=np.float32)


def test_predictions_are_the_models_on_preprocessed_images(classifier: Classifier, images: np.ndarray) -> None:
    with torch.inference_mode():
        expected = classifier.model.eval()(classifier.preprocess(images))
    np.testing.assert_allclose(classifier.logits(images), expected.numpy(), rtol=1e-4, atol=1e-4)
    probabilities = classifier.predict_proba(images, batch_size=7)
    np.testing.assert_allclose(probabilities, expected.softmax(dim=1).numpy(), rtol=1e-3, atol=1e-5)
    predicted = classifier.predict(images)
    assert predicted.dtype == np.int64 and (predicted == expected.argmax(dim=1).numpy()).all()


def test_a_model_in_training_predicts_the_same_and_goes_on_training(images: np.ndarray) -> None:
    classifier = Classifier.build("fashion_resnet", NAMES, device="cpu")
    expected = classifier.logits(images)
    classifier.model.train()
    state = {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}
    np.testing.assert_array_equal(classifier.logits(images), expected)
    assert all(module.training for module in classifier.model.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in classifier.model.state_dict().items())


def test_the_zoos_model_is_left_as_it_is() -> None:
    backbone = zoo.load("fashion_resnet", device="cpu")
    first, second = Classifier(backbone, NAMES, seed=0), Classifier(backbone, NAMES[:2], seed=1)
    assert backbone.model.fc.out_features == 10 and first.model.fc.out_features == 3
    with torch.no_grad():
        first.model.stem[0].weight.zero_()
    assert second.model.stem[0].weight.any() and backbone.model.stem[0].weight.any()


def test_a_seed_decides_head_and_random_weights() -> None:
    made = [
        Classifier.build("fashion_resnet", NAMES, weights=None, seed=seed, device="cpu").model for seed in (1, 1, 2)
    ]
    for layer in ("fc", "stem.0"):
        first, again, other = (model.get_submodule(layer).weight for model in made)
        assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize(("name", "size", "channels"), [("fashion_resnet", None, 1), ("mobilenet_v2", 32, 3)])
def test_save_and_load_give_the_same_predictions(name: str, size: int | None, channels: int, tmp_path: Path) -> None:
    classifier = Classifier.build(name, NAMES, weights=None, image_size=size, seed=4, device="cpu")
    classifier.backbone.mean = tuple(0.4 for _ in range(channels))
    images = np.random.default_rng(1).random((3, 33, 33, channels), dtype=np.float32)
    classifier.model.train()(classifier.preprocess(images))  # moves the BatchNorm statistics from their start
    classifier.model.to(memory_format=torch.channels_last)
    found = load(classifier.save(tmp_path / "model.safetensors"), device="cpu")
    np.testing.assert_array_equal(found.logits(images), classifier.logits(images))
    assert (found.class_names, found.backbone.name, found.backbone.image_size) == (NAMES, name, size)
    assert not found.model.training


def test_what_does_not_fit_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    path = classifier.save(tmp_path / "m")
    kept = classifier_file.read(path)
    fewer = ClassifierFile(**{**vars(kept), "class_names": NAMES[:2]})
    with pytest.raises(BadInput, match="fashion_resnet with 2 classes"):
        Classifier.load(classifier_file.write(tmp_path / "fewer", fewer))
    with pytest.raises(BadInput, match="mobilenet_v2 with 3 classes"):
        Classifier.load(
            classifier_file.write(
                tmp_path / "other", ClassifierFile(**{**vars(kept), "backbone": "mobilenet_v2", "image_size": 64})
            )
        )
    keras = ClassifierFile(**{**vars(kept), "framework": "keras"})
    with pytest.raises(BadInput, match=r"one in keras; load it with tl_course\.keras\.classifier"):
        load(classifier_file.write(tmp_path / "keras", keras))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="a whole safetensors file"):
        load(path)
    with pytest.raises(BadInput, match="nothing at"):
        load(tmp_path / "missing")


def test_bad_names_images_and_backbones_are_refused(classifier: Classifier, images: np.ndarray) -> None:
    for names in ("cat", [], ["a", "a"], ["a", 1]):
        with pytest.raises(BadInput, match="one or more different strings"):
            Classifier.build("fashion_resnet", names)  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="values from 0 to 255"):
        classifier.predict((images * 255).astype(np.uint8))
    with pytest.raises(BadInput, match="batch_size of at least 1"):
        classifier.predict(images, batch_size=0)
    with pytest.raises(BadInput, match="an image model in PyTorch"):
        Classifier(nn.Linear(1, 1), NAMES)  # pyright: ignore[reportArgumentType]
