"""A Keras text classifier: its parts, its file, the one `fit` and every strategy, and no graph traced twice."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tl_course import classifier_file
from tl_course.classifier_file import ClassifierFile
from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.keras import classifier as image_classifier
from tl_course.keras.finetune import fine_tune, gradual_unfreezing, linear_probe, lp_ft
from tl_course.keras.fit import evaluate, fit
from tl_course.keras.freezing import freeze, freeze_backbone, stages
from tl_course.keras.optim import param_groups
from tl_course.keras.text_classifier import TextClassifier, load

NAMES = ("negative", "positive")
TEXTS = [
    "Terrible.",
    "",
    "naïve café 迁移学习 🙂",
    "word " * 400,
    "Would buy again; arrived a day early, works as described.",
]
QUIET = {"progress": False, "batch_size": 16}
Make = Callable[..., TextClassifier]


def state(made: TextClassifier) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in made.model.weights}


def moved(made: TextClassifier, before: dict[str, np.ndarray]) -> set[str]:
    return {path for path, array in state(made).items() if not np.array_equal(array, before[path])}


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_logits_are_those_of_the_parts_one_text_at_a_time(pooling: str, text_classifier: Make) -> None:
    made = text_classifier(pooling=pooling)
    rows = []
    for text in TEXTS:
        ids = made.tokenizer([text], truncation=True, max_length=32, return_tensors="np")["input_ids"]
        hidden = made.model.encoder(tf.constant(ids)).last_hidden_state.numpy()
        vector = hidden.mean(axis=1) if pooling == "mean" else hidden[:, 0]
        rows.append(vector @ made.model.head.kernel.numpy() + made.model.head.bias.numpy())
    np.testing.assert_allclose(made.logits(TEXTS, batch_size=3), np.concatenate(rows), atol=1e-5)
    np.testing.assert_allclose(made.predict_proba(TEXTS).sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(made.predict(TEXTS), made.logits(TEXTS).argmax(axis=1))
    np.testing.assert_allclose(made.model(made.preprocess(TEXTS)).numpy(), made.logits(TEXTS), atol=1e-5)


def test_one_graph_serves_texts_of_every_length(text_classifier: Make) -> None:
    made = text_classifier(max_tokens=64)
    graph = made.graph()
    for length in (1, 3, 9, 20, 50):
        made.logits(["word " * length] * length)
    assert made.graph() is graph


def test_save_and_load_give_the_same_predictions(text_classifier: Make, tmp_path: Path) -> None:
    made = text_classifier(pooling="cls", dropout=0.2, seed=3)
    found = load(made.save(tmp_path / "deep" / "m"))
    np.testing.assert_array_equal(found.logits(TEXTS), made.logits(TEXTS))
    assert found.backbone.token_ids(TEXTS) == made.backbone.token_ids(TEXTS)
    assert (found.class_names, found.backbone.max_tokens, found.model.dropout.rate) == (NAMES, 32, 0.2)


def test_files_that_do_not_fit_are_refused(text_classifier: Make, tmp_path: Path) -> None:
    path = text_classifier().save(tmp_path / "m")
    kept = classifier_file.read(path)

    def changed(**parts: object) -> Path:
        return classifier_file.write(tmp_path / "changed", ClassifierFile(**{**vars(kept), **parts}))

    with pytest.raises(BadInput, match=r"head\.weight of shape \(1, 16\)"):
        load(changed(class_names=NAMES[:1]))
    with pytest.raises(BadInput, match=r"one in pytorch; load it with tl_course\.pytorch\.text_classifier"):
        load(changed(framework="pytorch"))
    with pytest.raises(BadInput, match=r"kind: text; load it with tl_course\.keras\.text_classifier"):
        image_classifier.load(path)
    without = {name: value for name, value in kept.details.items() if name != "tokenizer"}
    with pytest.raises(BadInput, match="got none of tokenizer"):
        load(changed(details=without))
    with pytest.raises(BadInput, match="no device"):
        load(path, device="cpu")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="a whole safetensors file"):
        load(path)


def test_the_same_seed_gives_the_same_numbers(text_classifier: Make, tweets: Dataset) -> None:
    runs = []
    for seed in (1, 1, 2):
        history = fit(text_classifier(dropout=0.3), tweets, num_epochs=1, seed=seed, **QUIET)
        runs.append((history.train_loss, history.val_loss))
    assert runs[0] == runs[1] != runs[2]


def test_the_recorded_validation_is_that_of_the_weights(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier(dropout=0.3)
    history = fit(made, tweets, num_epochs=1, **QUIET)
    assert tweets.val is not None
    probabilities = made.predict_proba(tweets.val.x)
    assert history.val_accuracy == pytest.approx([np.mean(probabilities.argmax(axis=1) == tweets.val.y)])
    expected = -np.log(probabilities[np.arange(24), tweets.val.y]).mean()
    assert history.val_loss == pytest.approx([expected], rel=1e-4)
    assert evaluate(made, tweets.val).accuracy == pytest.approx(history.val_accuracy[0])


def test_every_strategy_works_on_texts(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    before = state(made)
    linear_probe(made, tweets, num_epochs=2, **QUIET)
    assert len(moved(made, before)) == 2 and all("head" in path for path in moved(made, before))
    fine_tune(made, tweets, num_epochs=1, lr=1e-2, layer_decay=0.8, restore_best=False, **QUIET)
    still = {path for path in set(before) - moved(made, before) if "key/bias" not in path}  # no query sees a key's bias
    assert not still
    assert lp_ft(made, tweets, num_epochs=1, **QUIET).stage == ["linear probe", "fine-tune"]
    history = gradual_unfreezing(made, tweets, num_stages=2, num_epochs=1, **QUIET)
    assert history.stage == ["head", "block_1 … block_2", "embeddings … block_0"]


def test_stages_and_groups_run_from_embeddings_to_the_head(text_classifier: Make) -> None:
    model = text_classifier().model
    names = ["embeddings", "block_0", "block_1", "block_2", "head"]
    assert [name for name, _layers in stages(model)] == names
    groups = param_groups(model, 1e-3, backbone_lr=1e-4, layer_decay=0.5)
    rates = {group["name"]: group["lr"] for group in groups}
    expected = [1e-4 * 0.5**3, 1e-4 * 0.5**2, 1e-4 * 0.5, 1e-4, 1e-3]
    assert [rates[f"{name}/decay"] for name in names] == pytest.approx(expected)
    assert sorted(p.path for g in groups for p in g["params"]) == sorted(w.path for w in model.weights)


def test_what_is_frozen_stays(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    freeze(made.model.encoder.embeddings)
    before = state(made)
    fit(made, tweets, num_epochs=1, restore_best=False, **QUIET)
    assert moved(made, before) and not any("embeddings" in path for path in moved(made, before))
    freeze_backbone(made.model)
    assert len(made.model.trainable_variables) == 2


def test_what_does_not_fit_texts_is_refused(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    one = dataclasses.replace(tweets, train=tweets.train.take(np.flatnonzero(tweets.train.y == 1)))
    for options, message in (
        ({"augment": "photo"}, "augment='none' and mixup=0 for texts"),
        ({"mixup": 0.2}, "augment='none' and mixup=0 for texts"),
        ({"mixed_precision": True}, "for texts in Keras"),
    ):
        with pytest.raises(BadInput, match=message):
            fit(made, tweets, **{"num_epochs": 1, "progress": False, **options})
    with pytest.raises(BadInput, match=r"texts of at least two classes.*all 'positive'"):
        fit(made, one, num_epochs=1)
    gaps = Split(np.array([*tweets.train.x[:-1], float("nan")], dtype=object), tweets.train.y)
    with pytest.raises(BadInput, match="float at position 47"):
        fit(made, dataclasses.replace(tweets, train=gaps), num_epochs=1)
    for texts, message in (("one", "one string"), ([], "an empty one"), ([None], "NoneType at position 0")):
        with pytest.raises(BadInput, match=message):
            made.predict(texts)
    for options, message in (({"pooling": "max"}, "pooling"), ({"dropout": 1.0}, "dropout from 0")):
        with pytest.raises(BadInput, match=message):
            TextClassifier(made.backbone, NAMES, **options)
    with pytest.raises(BadInput, match="a text model in Keras"):
        TextClassifier.build("fashion_resnet", NAMES)
