"""A text classifier predicts what its parts compute, in any batch, and comes back whole from one file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tl_course import classifier_file, zoo
from tl_course.classifier_file import ClassifierFile
from tl_course.errors import BadInput
from tl_course.pytorch import classifier as image_classifier
from tl_course.pytorch.features import masked_mean
from tl_course.pytorch.text_classifier import TextClassifier, load

NAMES = ("negative", "positive")
TEXTS = [
    "Terrible.",
    "",
    "naïve café 迁移学习 🙂",
    "word " * 400,
    "Would buy again; arrived a day early, works as described.",
]
KINDS = ("bert", "roberta", "distilbert", "electra", "albert")
Make = Callable[..., TextClassifier]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_parts_one_text_at_a_time(kind: str, pooling: str, text_classifier: Make) -> None:
    made = text_classifier(kind, pooling=pooling)
    assert made.model.head.bias is not None
    rows = []
    for text in TEXTS:
        tokens = made.tokenizer([text], truncation=True, max_length=32, return_tensors="pt")
        ids = {"input_ids": tokens["input_ids"]}  # one text: nothing is padded, nothing to mask
        with torch.no_grad():
            hidden = made.model.encoder(**ids).last_hidden_state
            vector = hidden.mean(dim=1) if pooling == "mean" else hidden[:, 0]
            rows.append(vector @ made.model.head.weight.T + made.model.head.bias)
    np.testing.assert_allclose(made.logits(TEXTS, batch_size=3), torch.cat(rows).numpy(), atol=1e-5)
    np.testing.assert_allclose(made.predict_proba(TEXTS).sum(axis=1), 1, atol=1e-6)
    assert made.predict(np.array(TEXTS)).dtype == np.int64
    with torch.no_grad():
        np.testing.assert_allclose(made.model(made.preprocess(TEXTS)).numpy(), made.logits(TEXTS), atol=1e-5)


def test_the_encoder_is_a_copy_without_its_pooler(text_backbone: Callable[..., zoo.Pretrained]) -> None:
    backbone = text_backbone()
    made = TextClassifier(backbone, NAMES)
    assert backbone.model.pooler is not None and made.model.encoder.pooler is None
    with torch.no_grad():
        made.model.encoder.embeddings.word_embeddings.weight.zero_()
    assert backbone.model.embeddings.word_embeddings.weight.any()
    assert made.backbone.features(["a"]).shape == (1, 16)  # the zoo's own use of the tuned encoder


def test_dropout_and_training_flags_are_left_as_they_were(text_classifier: Make) -> None:
    made = text_classifier(dropout=0.5)
    expected = made.logits(TEXTS)
    made.model.train()
    np.testing.assert_array_equal(made.logits(TEXTS), expected)
    assert all(module.training for module in made.model.modules())


def test_long_texts_are_cut_and_counted(text_classifier: Make) -> None:
    made = text_classifier(max_tokens=8)
    assert made.num_tokens(TEXTS).tolist()[1:4:2] == [2, 402]
    np.testing.assert_allclose(made.logits(["word " * 400]), made.logits(["word " * 6]), atol=1e-6)


def test_build_makes_minilm_from_the_zoo() -> None:
    built = [
        TextClassifier.build("minilm", NAMES, weights=None, max_tokens=40, seed=s, device="cpu") for s in (1, 1, 2)
    ]
    assert built[0].backbone.max_tokens == 40 and repr(built[0]) == "TextClassifier('minilm', 2 classes)"
    assert np.array_equal(built[0].logits(TEXTS), built[1].logits(TEXTS))
    for name in ("head.weight", "encoder.encoder.layer.0.attention.self.query.weight"):
        first, other = (made.model.get_parameter(name) for made in built[1:])
        assert not torch.equal(first, other)


def test_minilms_pooled_vector_is_the_zoos_feature() -> None:
    backbone = zoo.load("minilm", device="cpu")
    made = TextClassifier(backbone, NAMES)
    with torch.no_grad():
        pooled = made.model.pooled(made.preprocess(TEXTS))
    expected = backbone.features(TEXTS)
    np.testing.assert_allclose(torch.nn.functional.normalize(pooled).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load_give_the_same_predictions_from_the_file_alone(
    kind: str, text_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = text_classifier(kind, pooling="cls", dropout=0.2, seed=3)
    path = made.save(tmp_path / "deep" / "model.safetensors")
    monkeypatch.setenv("TL_COURSE_CACHE", str(tmp_path / "nothing here"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nothing here"))
    found = load(path, device="cpu")
    np.testing.assert_array_equal(found.logits(TEXTS), made.logits(TEXTS))
    assert found.backbone.token_ids(TEXTS) == made.backbone.token_ids(TEXTS)
    assert (found.class_names, found.backbone.name, found.backbone.max_tokens) == (NAMES, f"tiny-{kind}", 32)
    assert found.model.dropout.p == 0.2 and not found.model.training
    assert found.tokenizer.mask_token == "[MASK]" and found.tokenizer.pad_token_id == 0
    again = load(found.save(tmp_path / "again"), device="cpu")
    np.testing.assert_array_equal(again.logits(TEXTS), made.logits(TEXTS))


def test_files_that_do_not_fit_are_refused(text_classifier: Make, tmp_path: Path) -> None:
    path = text_classifier().save(tmp_path / "m")
    kept = classifier_file.read(path)
    assert kept.kind == "text" and json.dumps(dict(kept.details))

    def changed(**parts: object) -> Path:
        return classifier_file.write(tmp_path / "changed", ClassifierFile(**{**vars(kept), **parts}))

    with pytest.raises(BadInput, match="the weights of a tiny-bert with 1 classes"):
        load(changed(class_names=NAMES[:1]))
    with pytest.raises(BadInput, match=r"one in keras; load it with tl_course\.keras\.text_classifier"):
        load(changed(framework="keras"))
    with pytest.raises(BadInput, match=r"kind: text; load it with tl_course\.pytorch\.text_classifier"):
        image_classifier.load(path)
    with pytest.raises(BadInput, match=r"kind: image; load it with tl_course\.pytorch\.classifier"):
        load(changed(kind="image"))
    without = {name: value for name, value in kept.details.items() if name != "tokenizer"}
    with pytest.raises(BadInput, match="got none of tokenizer"):
        load(changed(details=without))
    unknown = {**kept.details, "config": {**kept.details["config"], "model_type": "no-such-model"}}
    with pytest.raises(BadInput, match="an encoder that transformers knows"):
        load(changed(details=unknown))
    fewer = {name: array for name, array in kept.weights.items() if name != "head.bias"}
    with pytest.raises(BadInput, match=r"head\.bias"):
        load(changed(weights=fewer))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="a whole safetensors file"):
        load(path)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", r"one string; put it in a list: \[text\]"),
        ([], "an empty one"),
        (["a", float("nan")], "float at position 1"),
        (["a", None], "NoneType at position 1"),
        (np.zeros((2, 4, 4, 3), np.float32), "ndarray at position 0"),
    ],
)
def test_what_is_no_text_is_refused(texts: object, message: str, text_classifier: Make) -> None:
    with pytest.raises(BadInput, match=message):
        text_classifier().predict(texts)


def test_options_out_of_range_are_refused(text_classifier: Make, text_backbone: Callable[..., zoo.Pretrained]) -> None:
    backbone = text_backbone()
    for options, message in (({"pooling": "max"}, "pooling 'mean' or 'cls'"), ({"dropout": 1.0}, "dropout from 0")):
        with pytest.raises(BadInput, match=message):
            TextClassifier(backbone, NAMES, **options)
    with pytest.raises(BadInput, match="one or more different strings"):
        TextClassifier(backbone, ["a", "a"])
    with pytest.raises(BadInput, match="a text model in PyTorch"):
        TextClassifier.build("fashion_resnet", NAMES, device="cpu")
    with pytest.raises(BadInput, match="max_tokens from 3 to 256"):
        TextClassifier.build("minilm", NAMES, max_tokens=512, device="cpu")
    with pytest.raises(BadInput, match="batch_size"):
        text_classifier().logits(["a"], batch_size=0)


def test_an_encoder_with_a_decoder_is_refused(text_backbone: Callable[..., zoo.Pretrained]) -> None:
    backbone = text_backbone()
    backbone.model.config.is_encoder_decoder = True
    with pytest.raises(BadInput, match="encoder and decoder"):
        TextClassifier(backbone, NAMES)


def test_padding_never_reaches_the_pooled_vector(text_classifier: Make) -> None:
    made = text_classifier()
    tokens = made.preprocess(["a short one", "a rather longer text with many more words than the other"])
    with torch.no_grad():
        hidden = made.model.encoder(**tokens).last_hidden_state
        hidden[tokens["attention_mask"] == 0] = float("nan")
        assert masked_mean(hidden, tokens["attention_mask"]).isfinite().all()


@pytest.mark.parametrize(("kind", "limit"), [("bert", 80), ("roberta", 79), ("distilbert", 80)])
def test_long_texts_fit_the_positions_of_any_encoder_from_a_folder(
    kind: str, limit: int, text_backbone: Callable[..., zoo.Pretrained], tmp_path: Path
) -> None:
    backbone = text_backbone(kind)
    backbone.tokenizer.model_max_length = 10**6  # many tokenizers do not know their model's limit
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    made = TextClassifier.build(str(tmp_path), NAMES, device="cpu")
    assert made.backbone.max_tokens == limit
    assert np.isfinite(made.logits(["word " * 400])).all()
