"""The one `fit` on texts: the loop one would write by hand, and every strategy on every kind of encoder."""

import copy
import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from tl_course import data
from tl_course.data.dataset import Dataset, Split
from tl_course.errors import BadInput
from tl_course.pytorch.finetune import fine_tune, gradual_unfreezing, linear_probe, lp_ft
from tl_course.pytorch.fit import evaluate, fit
from tl_course.pytorch.freezing import freeze, freeze_backbone, stages
from tl_course.pytorch.optim import param_groups
from tl_course.pytorch.text_classifier import TextClassifier
from tl_course.text_batches import length_buckets

Make = Callable[..., TextClassifier]
QUIET = {"progress": False, "batch_size": 16}
KINDS = ("bert", "roberta", "distilbert", "electra", "albert")


def state(made: TextClassifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in made.model.state_dict().items()}


def moved(made: TextClassifier, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in made.model.state_dict().items() if not torch.equal(tensor, before[name])}


def test_minilm_learns_real_tweets() -> None:
    full = data.load("sentiment")
    few = dataclasses.replace(full, train=full.train.take(np.arange(96)), test=full.test.take(np.arange(100)))
    made = TextClassifier.build("minilm", few.class_names, device="cpu")
    history = linear_probe(made, dataclasses.replace(few, test=few.test.take(np.arange(0))), num_epochs=20, **QUIET)
    assert history.train_loss[-1] < 0.5 * history.train_loss[0]
    found = evaluate(made, few.test)
    assert found.accuracy > 0.75
    assert found.accuracy == pytest.approx(np.mean(made.predict(few.test.x) == few.test.y))


def test_it_is_the_loop_one_would_write_by_hand(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    twin = copy.deepcopy(made.model)
    history = fit(made, tweets, num_epochs=2, lr=1e-2, backbone_lr=1e-3, restore_best=False, **QUIET)
    groups = param_groups(twin, 1e-2, backbone_lr=1e-3)
    optimizer, peaks = torch.optim.AdamW(groups), [group["lr"] for group in groups]
    lengths, texts = made.num_tokens(tweets.train.x).clip(max=32), np.asarray(tweets.train.x)
    rng, step, losses = np.random.default_rng(0), 0, []
    for _ in range(2):
        total = 0.0
        twin.train()
        for chosen in length_buckets(lengths, 16, rng):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak if step == 0 else peak * (1 + np.cos(np.pi * (step - 1) / 5)) / 2
            tokens = made.tokenizer(
                texts[chosen].tolist(), padding=True, truncation=True, max_length=32, return_tensors="pt"
            )
            loss = nn.functional.cross_entropy(twin(tokens), torch.from_numpy(tweets.train.y[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, step = total + loss.item() * len(chosen) / 48, step + 1
        losses.append(total)
    assert history.train_loss == pytest.approx(losses, rel=1e-4)
    for ours, theirs in zip(made.model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_the_same_seed_gives_the_same_numbers(text_classifier: Make, tweets: Dataset) -> None:
    runs = []
    for seed in (1, 1, 2):
        made = text_classifier(dropout=0.3)
        history = fit(made, tweets, num_epochs=2, seed=seed, **QUIET)
        runs.append((history.train_loss, history.val_loss))
    assert runs[0] == runs[1] != runs[2]


def test_the_recorded_validation_is_that_of_the_weights(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier(dropout=0.3)
    history = fit(made, tweets, num_epochs=1, **QUIET)
    assert tweets.val is not None and not made.model.training
    probabilities = made.predict_proba(tweets.val.x)
    assert history.val_accuracy == pytest.approx([np.mean(probabilities.argmax(axis=1) == tweets.val.y)])
    expected = -np.log(probabilities[np.arange(24), tweets.val.y]).mean()
    assert history.val_loss == pytest.approx([expected], rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_strategy_works_on_every_kind(kind: str, text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier(kind)
    before = state(made)
    linear_probe(made, tweets, num_epochs=2, **QUIET)
    assert moved(made, before) == {"head.weight", "head.bias"}
    assert fine_tune(made, tweets, num_epochs=1, layer_decay=0.8, restore_best=False, **QUIET).stage == ["fine-tune"]
    # RoBERTa's and the others' buffers and the padding token's vector stay; every trained part moves
    assert {name for name, _part in stages(made.model)} <= {
        part for name in moved(made, before) for part, _module in stages(made.model) if name.startswith(f"{part}.")
    }
    assert lp_ft(made, tweets, num_epochs=1, **QUIET).stage == ["linear probe", "fine-tune"]
    assert gradual_unfreezing(made, tweets, num_stages=2, num_epochs=1, **QUIET).stage[0] == "head"


@pytest.mark.parametrize("kind", KINDS)
def test_stages_run_from_embeddings_block_by_block_to_the_head(kind: str, text_classifier: Make) -> None:
    model = text_classifier(kind).model
    names = [name for name, _part in stages(model)]
    blocks = [name for name in names if name.rsplit(".", 1)[-1].isdigit()]
    assert names[0] == "encoder.embeddings" and names[-1] == "head"
    assert len(blocks) == (1 if kind == "albert" else 3) and names[-1 - len(blocks) : -1] == blocks
    groups = param_groups(model, 1e-3, backbone_lr=1e-4, layer_decay=0.5)
    rates = {group["name"]: group["lr"] for group in groups}
    depth = len(names) - 1
    assert rates["head/decay"] == 1e-3 and rates[f"{blocks[-1]}/decay"] == pytest.approx(1e-4)
    assert rates["encoder.embeddings/decay"] == pytest.approx(1e-4 * 0.5 ** (depth - 1))
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_a_frozen_backbones_head_trains_as_in_a_loop_over_the_texts(text_classifier: Make, tweets: Dataset) -> None:
    """`fit` computes the features once; with mixed flags it would run the encoder each time."""
    made = text_classifier(dropout=0.4)
    freeze_backbone(made.model)
    twin = copy.deepcopy(made.model).eval()
    with torch.no_grad():
        x = twin.pooled(made.preprocess(tweets.train.x))
    y, last = torch.from_numpy(tweets.train.y), twin.head
    history = fit(made, tweets, num_epochs=1, lr=1e-2, warmup=0.0, weight_decay=0.0, restore_best=False, **QUIET)
    optimizer, total = torch.optim.AdamW(last.parameters(), weight_decay=0.0), 0.0
    for step, chosen in enumerate(torch.from_numpy(np.random.default_rng(0).permutation(48)).split(16)):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 + np.cos(np.pi * step / 3)) / 2
        loss = nn.functional.cross_entropy(last(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / 3
    assert history.train_loss == pytest.approx([total], rel=1e-3)
    torch.testing.assert_close(made.model.head.weight, last.weight, rtol=1e-3, atol=1e-5)


def test_what_is_frozen_stays(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    freeze(made.model.encoder.embeddings)
    before = state(made)
    fit(made, tweets, num_epochs=1, restore_best=False, **QUIET)
    changed = moved(made, before)
    assert changed and not any(name.startswith("encoder.embeddings.") for name in changed)


def test_what_does_not_fit_texts_is_refused(text_classifier: Make, tweets: Dataset) -> None:
    made = text_classifier()
    one = dataclasses.replace(tweets, train=tweets.train.take(np.flatnonzero(tweets.train.y == 1)))
    for options, message in (
        ({"augment": "photo"}, "augment='none' and mixup=0 for texts"),
        ({"mixup": 0.2}, "augment='none' and mixup=0 for texts"),
        ({"num_epochs": -1}, "num_epochs of at least 0"),
    ):
        with pytest.raises(BadInput, match=message):
            fit(made, tweets, **{"num_epochs": 1, "progress": False, **options})
    with pytest.raises(BadInput, match=r"texts of at least two classes.*all 'positive'"):
        fit(made, one, num_epochs=1)
    with pytest.raises(BadInput, match="the classifier's classes"):
        fit(made, dataclasses.replace(tweets, class_names=("bad", "good")), num_epochs=1)
    with pytest.raises(BadInput, match="labels from 0 to 1"):
        fit(made, dataclasses.replace(tweets, train=Split(tweets.train.x, tweets.train.y + 1)), num_epochs=1)
    gaps = Split(np.array([*tweets.train.x[:-1], None], dtype=object), tweets.train.y)
    with pytest.raises(BadInput, match="NoneType at position 47"):
        fit(made, dataclasses.replace(tweets, train=gaps), num_epochs=1)
