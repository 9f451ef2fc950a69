"""Right answers to lp-ft, as source text."""

PYTORCH = '''
import torch
from torch import nn


def descend(parameters: list[nn.Parameter], loss, num_steps: int, lr: float) -> None:
    """Plain gradient descent on `loss()`; changes the parameters given and leaves no gradient behind."""
    for _ in range(num_steps):
        gradients = torch.autograd.grad(loss(), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients):
                parameter -= lr * gradient


def lp_ft(
    backbone: nn.Module,
    head: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    probe_steps: int,
    probe_lr: float,
    tune_steps: int,
    tune_lr: float,
) -> None:
    """LP-FT (Kumar et al. 2022), in place, with full-batch gradient descent on `nn.functional.mse_loss`.

    Args:
        backbone: pretrained, gives features (N, H) for x; all parameters trainable before and after.
        head: new linear layer, gives outputs (N, K) for features.
        x: inputs, float, shape (N, D).
        y: targets, float, shape (N, K).
        probe_steps: steps of the first stage, enough to converge: only the head learns; the backbone runs only once.
        probe_lr: learning rate of the first stage.
        tune_steps: steps of the second stage: everything learns, from the head of the first.
        tune_lr: learning rate of the second stage.
    """
    features = backbone(x).detach()
    descend(list(head.parameters()), lambda: nn.functional.mse_loss(head(features), y), probe_steps, probe_lr)
    everything = [*backbone.parameters(), *head.parameters()]
    descend(everything, lambda: nn.functional.mse_loss(head(backbone(x)), y), tune_steps, tune_lr)
'''

PYTORCH_OPTIMISERS = """
import torch
from torch import nn


def lp_ft(backbone, head, x, y, probe_steps, probe_lr, tune_steps, tune_lr):
    loss = nn.MSELoss()
    with torch.no_grad():
        features = backbone(x)
    for model, inputs, steps, lr in (
        (head, features, probe_steps, probe_lr),
        (nn.Sequential(backbone, head), x, tune_steps, tune_lr),
    ):
        optimiser = torch.optim.SGD(model.parameters(), lr=lr)
        for _ in range(steps):
            optimiser.zero_grad()
            loss(model(inputs), y).backward()
            optimiser.step()
"""

PYTORCH_CLOSED = """
import torch


def lp_ft(backbone, head, x, y, probe_steps, probe_lr, tune_steps, tune_lr):
    with torch.no_grad():
        features = torch.cat([backbone(x), torch.ones(len(x), 1)], dim=1)
        for _ in range(probe_steps):
            outputs = features @ torch.cat([head.weight, head.bias[:, None]], dim=1).T
            gradient = 2 * (outputs - y).T @ features / y.numel()
            head.weight -= probe_lr * gradient[:, :-1]
            head.bias -= probe_lr * gradient[:, -1]
    for _ in range(tune_steps):
        everything = list(backbone.parameters()) + list(head.parameters())
        gradients = torch.autograd.grad(((head(backbone(x)) - y) ** 2).mean(), everything)
        for parameter, gradient in zip(everything, gradients):
            parameter.data.sub_(gradient, alpha=tune_lr)
"""

KERAS = '''
import keras
import tensorflow as tf
from keras import ops


def descend(variables: list, loss, num_steps: int, lr: float) -> None:
    """Plain gradient descent on `loss()`; changes the variables given."""
    for _ in range(num_steps):
        with tf.GradientTape() as tape:
            value = loss()
        gradients = tape.gradient(value, [variable.value for variable in variables])
        for variable, gradient in zip(variables, gradients):
            variable.assign_sub(lr * gradient)


def lp_ft(
    backbone: keras.Model,
    head: keras.Model,
    x,
    y,
    probe_steps: int,
    probe_lr: float,
    tune_steps: int,
    tune_lr: float,
) -> None:
    """LP-FT (Kumar et al. 2022), in place, with full-batch gradient descent on the mean squared error.

    Args:
        backbone: pretrained, gives features (N, H) for x; all weights trainable before and after.
        head: new linear layer, gives outputs (N, K) for features.
        x: inputs, float, shape (N, D).
        y: targets, float, shape (N, K); the loss is the mean over all N * K squared errors.
        probe_steps: steps of the first stage, enough to converge: only the head learns; the backbone runs only once.
        probe_lr: learning rate of the first stage.
        tune_steps: steps of the second stage: everything learns, from the head of the first.
        tune_lr: learning rate of the second stage.
    """
    features = backbone(x)
    descend(head.trainable_weights, lambda: ops.mean((head(features) - y) ** 2), probe_steps, probe_lr)
    everything = [*backbone.trainable_weights, *head.trainable_weights]
    descend(everything, lambda: ops.mean((head(backbone(x)) - y) ** 2), tune_steps, tune_lr)
'''

KERAS_OPTIMISERS = """
import keras
import tensorflow as tf


def lp_ft(backbone, head, x, y, probe_steps, probe_lr, tune_steps, tune_lr):
    error = keras.losses.MeanSquaredError()

    def train(layers, inputs, steps, lr):
        optimiser = keras.optimizers.SGD(lr)
        weights = [weight for layer in layers for weight in layer.trainable_weights]
        for _ in range(steps):
            with tf.GradientTape() as tape:
                outputs = inputs
                for layer in layers:
                    outputs = layer(outputs)
                loss = error(y, outputs)
            optimiser.apply(tape.gradient(loss, weights), weights)

    train([head], keras.ops.stop_gradient(backbone(x)), probe_steps, probe_lr)
    train([backbone, head], x, tune_steps, tune_lr)
"""

KERAS_CLOSED = """
import numpy as np
import tensorflow as tf


def lp_ft(backbone, head, x, y, probe_steps, probe_lr, tune_steps, tune_lr):
    features, targets = np.asarray(backbone(x)), np.asarray(y)
    kernel, bias = (np.asarray(weight) for weight in head.trainable_weights)
    for _ in range(probe_steps):
        slope = 2 * (features @ kernel + bias - targets) / targets.size
        kernel, bias = kernel - probe_lr * features.T @ slope, bias - probe_lr * slope.sum(0)
    for weight, value in zip(head.trainable_weights, (kernel, bias)):
        weight.assign(value)
    for _ in range(tune_steps):
        everything = backbone.trainable_weights + head.trainable_weights
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(head(backbone(x)) - y))
        for weight, gradient in zip(everything, tape.gradient(loss, [weight.value for weight in everything])):
            weight.assign(weight - tune_lr * gradient)
"""
