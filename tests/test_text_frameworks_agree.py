"""MiniLM with the same head in both frameworks: the same logits, groups, and numbers after training."""

import dataclasses

import numpy as np
import pytest
import torch

from tl_course import data, zoo
from tl_course.data.dataset import Dataset
from tl_course.keras import fit as keras_fit
from tl_course.keras import optim as keras_optim
from tl_course.keras import text_classifier as in_keras
from tl_course.keras.encoder import Encoder
from tl_course.pytorch import fit as torch_fit
from tl_course.pytorch import optim as torch_optim
from tl_course.pytorch import text_classifier as in_torch
from tl_course.zoo.texts_keras import KerasTextModel

NAMES = ("negative", "positive")
TEXTS = ["Terrible.", "", "naïve café 迁移学习 🙂", "Would buy again; arrived a day early and works as described."]


def pair(pooling: str) -> tuple[in_torch.TextClassifier, in_keras.TextClassifier]:
    """Without dropout, and with the same head."""
    one = in_torch.TextClassifier(zoo.load("minilm", device="cpu"), NAMES, pooling=pooling, dropout=0.0)
    for module in one.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    one.model.encoder.config.attention_probs_dropout_prob = 0.0
    zoos = zoo.load("minilm", "keras")
    encoder = Encoder(dataclasses.replace(zoos.model.config, dropout=0.0))
    encoder.set_weights(zoos.model.get_weights())
    backbone = KerasTextModel("minilm", "pretrained", encoder, zoos.tokenizer, zoos.max_tokens)
    other = in_keras.TextClassifier(backbone, NAMES, pooling=pooling, dropout=0.0)
    other.model.head.kernel.assign(one.model.head.weight.detach().numpy().T)
    return one, other


def few() -> Dataset:
    full = data.load("sentiment")
    assert full.val is not None
    return dataclasses.replace(full, train=full.train.take(np.arange(12)), val=full.val.take(np.arange(8)))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_equal_logits_groups_and_training(pooling: str) -> None:
    one, other = pair(pooling)
    assert one.backbone.token_ids(TEXTS) == other.backbone.token_ids(TEXTS)
    np.testing.assert_allclose(one.logits(TEXTS), other.logits(TEXTS), atol=1e-4)
    groups = [
        [
            (group["lr"], group["weight_decay"], sum(int(np.prod(p.shape)) for p in group["params"]))
            for group in optim.param_groups(made.model, 1e-3, backbone_lr=1e-4, layer_decay=0.8)
        ]
        for optim, made in ((torch_optim, one), (keras_optim, other))
    ]
    assert groups[0] == groups[1] and len(groups[0]) == 16
    options = {"num_epochs": 1, "batch_size": 4, "lr": 3e-4, "backbone_lr": 3e-5, "layer_decay": 0.8}
    before = one.logits(TEXTS)
    found = [
        module.fit(made, few(), restore_best=False, progress=False, **options)
        for module, made in ((torch_fit, one), (keras_fit, other))
    ]
    assert found[0].train_loss == pytest.approx(found[1].train_loss, rel=5e-4)  # Adam magnifies rounding
    assert found[0].val_loss == pytest.approx(found[1].val_loss, rel=1e-3)
    after = one.logits(TEXTS)
    np.testing.assert_allclose(after, other.logits(TEXTS), atol=5e-3)
    assert np.abs(after - before).max() > 0.02
