"""minilm: sentence vectors equal to sentence-transformers' own."""

import numpy as np
import pytest
import torch

from tl_course import assets, zoo
from tl_course.errors import BadInput

TEXTS = [
    "A short one.",
    "The film is a slow, warm and rather funny portrait of three sisters who inherit a hotel they never wanted.",
    "",
    "naïve café 迁移学习 🙂",
    "word " * 400,
    "Terrible.",
    "Would buy again; arrived a day early and works as described.",
]


@pytest.fixture(scope="module")
def minilm() -> zoo.Pretrained:
    return zoo.load("minilm", device="cpu")


def test_equal_to_sentence_transformers(minilm: zoo.Pretrained) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    theirs = sentence_transformers.SentenceTransformer(str(assets.path("minilm")), device="cpu").encode(TEXTS)
    ours = minilm.features(TEXTS, batch_size=3)
    assert ours.shape == (len(TEXTS), 384) and ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_unit_length_and_independent_of_the_batch(minilm: zoo.Pretrained) -> None:
    together = minilm.features(TEXTS)
    alone = np.concatenate([minilm.features([text]) for text in TEXTS])
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_meaning_is_closer_than_words(minilm: zoo.Pretrained) -> None:
    a, b, c = minilm.features(["The cat sleeps.", "A kitten is napping.", "The stock market fell."])
    assert a @ b > a @ c + 0.3


def test_tokens_and_attention_maps() -> None:
    minilm = zoo.load("minilm", device="cpu", attention="eager")
    tokens = minilm.preprocess(["two words", "three words now"])
    assert tokens["input_ids"].shape == (2, 5)  # [CLS] three words [SEP]
    with torch.inference_mode():
        maps = minilm.model(**tokens, output_attentions=True).attentions
    assert len(maps) == 6 and maps[0].shape == (2, 12, 5, 5)


def test_the_model_is_left_as_it_was_found(minilm: zoo.Pretrained) -> None:
    minilm.model.train()
    first = minilm.features(["dropout would show here"])
    assert minilm.model.training
    minilm.model.eval()
    np.testing.assert_array_equal(first, minilm.features(["dropout would show here"]))


def test_random_weights(minilm: zoo.Pretrained) -> None:
    random = zoo.load("minilm", weights=None, device="cpu")
    assert random.weights is None
    assert np.abs(random.features(["hello"]) - minilm.features(["hello"])).max() > 0.01


def test_a_folder_in_hugging_face_layout(minilm: zoo.Pretrained) -> None:
    folder = zoo.load(str(assets.path("minilm")), device="cpu")
    np.testing.assert_allclose(folder.features(TEXTS[:2]), minilm.features(TEXTS[:2]), atol=1e-6)


def test_refusals(minilm: zoo.Pretrained) -> None:
    with pytest.raises(BadInput, match="one string"):
        minilm.features("not a list")
    with pytest.raises(BadInput, match="batch_size"):
        minilm.features(["a"], batch_size=0)
    with pytest.raises(BadInput, match="image_size only for image models"):
        zoo.load("minilm", image_size=96)
