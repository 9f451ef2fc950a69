"""A small CNN trained from scratch, in Keras: the baseline that transfer has to beat."""

import time
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from tl_course.schedules import warmup_cosine
from tl_course.scratch_recipe import (
    WIDTHS,
    Recipe,
    ScratchResult,
    augmented_batches,
    check_images,
    standardizer,
)

FEATURES = "features"
"""The layer whose output (N, D) reaches the head."""


def small_cnn(num_channels: int, num_classes: int, seed: int = 0, widths: Sequence[int] = WIDTHS) -> keras.Sequential:
    """Four 3x3 convolutions with BatchNorm and ReLU, max pooling between, global average pooling, a linear head.

    About 99,000 parameters for ten classes.

    Args:
        num_channels: channels of the images.
        num_classes: width of the head.
        seed: fixes the initial weights (He et al., 2015); the global random state is left as it was.
        widths: channels of the convolutions, here four.
    """
    model = keras.Sequential([keras.Input((None, None, num_channels))])
    for index, width in enumerate(widths):
        he = keras.initializers.HeNormal(seed=seed * (len(widths) + 1) + index)
        model.add(layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer=he))
        model.add(layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
        model.add(layers.ReLU())
        if width != widths[-1]:
            model.add(layers.MaxPooling2D(2))
    model.add(layers.GlobalAveragePooling2D(name=FEATURES))
    glorot = keras.initializers.GlorotUniform(seed=seed * (len(widths) + 1) + len(widths))
    model.add(layers.Dense(num_classes, kernel_initializer=glorot))
    return model


def train_small_cnn(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    num_classes: int,
    seed: int = 0,
    recipe: Recipe | None = None,
) -> ScratchResult:
    """Train `small_cnn` on the training images and score it on the test images, which influence nothing.

    Args:
        train_x: float32 (N, H, W, C) in [0, 1]. Their mean and standard deviation standardise all images.
        train_y: int64 (N,).
        test_x: float32 (M, H, W, C).
        test_y: int64 (M,).
        num_classes: number of classes.
        seed: fixes initial weights, order and augmentation.
        recipe: how to train; default `Recipe()`. `scratch_recipe.tune` finds a better one on validation data.

    Raises:
        BadInput: shapes or labels do not fit.
    """
    recipe = recipe or Recipe()
    check_images(train_x, train_y, num_classes)
    start = time.perf_counter()
    mean, std = standardizer(train_x)
    model = small_cnn(train_x.shape[-1], num_classes, seed)
    losses = _fit(model, (train_x - mean) / std, train_y, recipe, np.random.default_rng(seed))
    logits = model.predict(((test_x - mean) / std).astype("float32"), batch_size=256, verbose=0)
    predictions = np.argmax(logits, axis=1).astype(np.int64)
    return ScratchResult(
        accuracy=float(np.mean(predictions == test_y)),
        predictions=predictions,
        num_parameters=sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        num_steps=len(losses),
        final_loss=float(np.mean(losses[-max(1, len(losses) // 10) :])),
        seconds=time.perf_counter() - start,
        recipe=recipe,
    )


def _fit(
    model: keras.Model, images: np.ndarray, labels: np.ndarray, recipe: Recipe, rng: np.random.Generator
) -> list[float]:
    """AdamW over augmented batches; the loss of every step. BatchNorm's gains and all biases are not decayed."""
    optimizer = keras.optimizers.AdamW(learning_rate=recipe.lr, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_list=[w for w in model.trainable_weights if len(w.shape) <= 1])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    num_steps = recipe.num_steps(len(images))
    losses = []
    for step, (batch_x, batch_y) in enumerate(augmented_batches(images, labels, recipe, num_steps, rng)):
        optimizer.learning_rate = warmup_cosine(step, num_steps, recipe.lr)
        model.reset_metrics()  # otherwise train_on_batch answers with the mean over all steps so far
        losses.append(float(model.train_on_batch(batch_x.astype("float32"), batch_y)))
    return losses
