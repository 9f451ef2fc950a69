"""mobilenet_v2: real ImageNet weights, the same features in PyTorch and Keras."""

import keras
import numpy as np
import pytest
import torch
from skimage import data

from tl_course import zoo
from tl_course.zoo import mobilenet_keras
from tl_course.zoo.keras_models import _asset_state

PHOTO = (data.astronaut() / 255).astype(np.float32)


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference over largest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.fixture(scope="module")
def torch_model() -> zoo.Pretrained:
    return zoo.load("mobilenet_v2", device="cpu", image_size=None)


@pytest.fixture(scope="module")
def keras_model() -> zoo.Pretrained:
    return zoo.load("mobilenet_v2", "keras", image_size=None)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (97, 130), (224, 224), (225, 223)])
def test_both_frameworks_give_the_same_features(
    torch_model: zoo.Pretrained, keras_model: zoo.Pretrained, height: int, width: int
) -> None:
    images = np.stack([PHOTO[:height, 150 : 150 + width], PHOTO[200 : 200 + height, :width]])
    features = torch_model.features(images)
    assert features.shape == (2, 1280) and features.dtype == np.float32
    assert relative(keras_model.features(images), features) < 1e-4


@pytest.mark.parametrize(("shape", "size"), [((301, 257), 96), ((40, 60), 96), ((96, 96), 96)])
def test_resized_images_give_the_same_features(shape: tuple[int, int], size: int) -> None:
    images = PHOTO[None, : shape[0], : shape[1]]
    models = [zoo.load("mobilenet_v2", framework, image_size=size) for framework in ("pytorch", "keras")]
    assert [tuple(model.preprocess(images).shape) for model in models] == [(1, 3, size, size), (1, size, size, 3)]
    assert relative(models[1].features(images), models[0].features(images)) < 1e-4


def test_keras_own_details_would_give_other_features(keras_model: zoo.Pretrained) -> None:
    as_keras_builds_it = keras.applications.MobileNetV2((64, 64, 3), include_top=False, weights=None, pooling="avg")
    mobilenet_keras.port(as_keras_builds_it, _asset_state("mobilenet_v2"))
    images = PHOTO[None, :64, 150:214]
    wrong = as_keras_builds_it.predict_on_batch(np.asarray(keras_model.preprocess(images)))
    assert relative(wrong, keras_model.features(images)) > 1e-2


def test_features_are_what_the_network_computes_on_hand_normalised_images(torch_model: zoo.Pretrained) -> None:
    images = PHOTO[None, :64, 150:214]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = torch.from_numpy(((images - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        expected = torch_model.model.features(x).mean(dim=(2, 3)).numpy()
    assert relative(torch_model.features(images), expected) < 1e-5


@pytest.mark.parametrize("framework", ["pytorch", "keras"])
def test_batches_keep_the_order(framework: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("torch_model" if framework == "pytorch" else "keras_model")
    images = np.stack([PHOTO[i : i + 32, 2 * i : 2 * i + 32] for i in range(0, 70, 10)])
    alone = np.concatenate([model.features(image[None]) for image in images])
    assert relative(model.features(images, batch_size=3), alone) < 1e-5


def test_the_torch_model_is_left_as_it_was_found(torch_model: zoo.Pretrained) -> None:
    model = torch_model.model
    model.train()
    model.features[3].eval()
    flags = [module.training for module in model.modules()]
    mean = model.features[0][1].running_mean.clone()
    torch_model.features(PHOTO[None, :32, :32])
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(model.features[0][1].running_mean, mean)
    assert all(parameter.requires_grad for parameter in model.parameters())
    model.eval()


def test_features_follow_weights_that_change() -> None:
    for framework in ("pytorch", "keras"):
        model = zoo.load("mobilenet_v2", framework, image_size=None)
        before = model.features(PHOTO[None, :32, :32])
        if framework == "pytorch":
            with torch.no_grad():
                model.model.features[18][1].bias += 1
        else:
            layer = model.model.get_layer("Conv_1_bn")
            layer.beta.assign_add(np.ones(1280, np.float32))
        assert model.features(PHOTO[None, :32, :32]).mean() > before.mean() + 0.2


def test_there_is_no_head(torch_model: zoo.Pretrained, keras_model: zoo.Pretrained) -> None:
    assert isinstance(torch_model.model.classifier, torch.nn.Identity)
    assert keras_model.model.output_shape == (None, 1280)


def test_random_weights_need_no_asset_and_differ() -> None:
    images = PHOTO[None, :32, :32]
    for framework in ("pytorch", "keras"):
        model = zoo.load("mobilenet_v2", framework, weights=None, image_size=32)
        assert model.weights is None and model.features(images).shape == (1, 1280)


def test_read_only_and_strided_images_are_fine(torch_model: zoo.Pretrained, keras_model: zoo.Pretrained) -> None:
    view = PHOTO[None, :64, :64][:, ::-1, ::2]  # negative strides, 64 x 32
    view.flags.writeable = False
    for model in (torch_model, keras_model):
        assert relative(model.features(view), model.features(np.ascontiguousarray(view))) < 1e-6
