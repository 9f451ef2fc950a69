"""Learning rates and penalties that treat the backbone with more care than the head, in Keras."""

from collections.abc import Sequence
from typing import Any, TypedDict

import keras
from keras import ops

from tl_course.errors import BadInput
from tl_course.fit_options import check_rates
from tl_course.i18n import _
from tl_course.keras.batchnorm import parameters
from tl_course.keras.freezing import stages
from tl_course.keras.heads import backbone_layers, backbone_parameters, head


class ParamGroup(TypedDict):
    """Parameters that share a rate and a decay, under the keys that PyTorch's optimisers take."""

    name: str
    params: list[keras.Variable]
    lr: float
    weight_decay: float


def param_groups(
    model: keras.Model,
    lr: float,
    *,
    backbone_lr: float | None = None,
    layer_decay: float = 1.0,
    weight_decay: float = 0.05,
) -> list[ParamGroup]:
    """Groups for `GroupedAdamW`: each trainable parameter exactly once, with its own learning rate and decay.

    The head learns at `lr`. The last backbone stage learns at `backbone_lr`, and each stage before it at `layer_decay`
    times the rate of the one after it (discriminative rates: Howard & Ruder, ULMFiT, 2018). Biases and the gains of
    normalisation layers, everything of one dimension, are not decayed: pulling them to 0 regularises nothing.

    Args:
        model: a classifier; see `heads.replace_head` for which.
        lr: the head's rate.
        backbone_lr: the last backbone stage's rate; None means lr.
        layer_decay: factor from stage to stage towards the input, above 0 and at most 1; 1 gives all one rate.
        weight_decay: decoupled decay (Loshchilov & Hutter, 2019).

    Returns:
        Dictionaries with params, lr, weight_decay and name ("stage3/decay", "head/no_decay" …), from the input to the
        head. With layer_decay=1 the backbone is one pair of groups, "backbone/decay" and "backbone/no_decay".

    Raises:
        BadInput: nothing is trainable, or a rate or factor is out of range.
    """
    check_rates(lr, backbone_lr, layer_decay, weight_decay)
    groups: list[ParamGroup] = []
    parts = _parts(model, by_stage=layer_decay != 1)
    for depth, (name, layers) in zip(reversed(range(len(parts))), parts, strict=True):  # depth 0 is the head
        rate = lr if depth == 0 else (lr if backbone_lr is None else backbone_lr) * layer_decay ** (depth - 1)
        trainable = [parameter for layer in layers for parameter in layer.trainable_weights]
        for kind, decay, is_matrix in (("decay", weight_decay, True), ("no_decay", 0.0, False)):
            chosen = [p for p in trainable if (len(p.shape) > 1) is is_matrix]
            if chosen:
                groups.append({"name": f"{name}/{kind}", "params": chosen, "lr": rate, "weight_decay": decay})
    if not groups:
        raise BadInput(
            _("a model with something to train"), _("one that is frozen throughout"), _("unfreeze its head first")
        )
    return groups


def _parts(model: keras.Model, by_stage: bool) -> list[tuple[str, list[keras.layers.Layer]]]:
    """Named lists of layers, the head last."""
    if by_stage:
        return [*stages(model)[:-1], ("head", [head(model)])]
    return [("backbone", backbone_layers(model)), ("head", [head(model)])]


@keras.saving.register_keras_serializable("tl_course")
class GroupedAdamW(keras.optimizers.Optimizer):
    """AdamW (Loshchilov & Hutter, 2019) with a rate and a decay for each variable, step for step as PyTorch's.

    A variable w with rate r and decay d, at learning rate s:  w -= s r d w, then  w -= s r m / (sqrt(v) + eps), where
    m and v are the bias-corrected running means of the gradient and of its square. Keras's own AdamW adds its epsilon
    before the bias correction, which is not the same for small gradients.

    Args:
        groups: `param_groups(model, …)`, or a mapping from a variable's path to its (rate, decay).
        learning_rate: multiplies every rate: 1.0, a schedule, or set it before each step.
        beta_1, beta_2, epsilon: as in Adam (Kingma & Ba, 2015), PyTorch's defaults.
        name: of the optimiser.
    """

    def __init__(
        self,
        groups: Sequence[ParamGroup] | dict[str, Sequence[float]],
        learning_rate: Any = 1.0,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "grouped_adamw",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.rates = _rates(groups)
        self.slots: dict[int, tuple[str, keras.Variable, keras.Variable]] = {}

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the two running means of every variable.

        Raises:
            BadInput: a variable that no group has.
        """
        if self.built:
            return
        missing = [variable.path for variable in variables if variable.path not in self.rates]
        if missing:
            raise BadInput(
                _("a group for every trainable variable"),
                _("none for {path}").format(path=missing[0]),
                _("make the groups after the last freeze or unfreeze: param_groups(model, lr)"),
            )
        super().build(variables)
        for v in variables:
            slots = (v.path, *(self.add_variable_from_reference(v, name=name) for name in ("mean", "square")))
            # Keras hands its own variable or the backend's to `update_step`, depending on the backend.
            self.slots[id(v)] = self.slots[id(v.value)] = slots

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Decay and move one variable."""
        path, mean, square = self.slots[id(variable)]
        rate, decay = self.rates[path]
        lr = ops.cast(learning_rate, variable.dtype) * rate
        gradient = ops.cast(gradient, variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        corrected_mean = mean / (1 - ops.power(self.beta_1, step))
        corrected_root = ops.sqrt(square / (1 - ops.power(self.beta_2, step)))
        change = lr * corrected_mean / (corrected_root + self.epsilon)
        self.assign_sub(variable, lr * decay * variable + change if decay else change)

    def get_config(self) -> dict[str, Any]:
        own = {"groups": self.rates, "beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


def _rates(groups: Sequence[ParamGroup] | dict[str, Sequence[float]]) -> dict[str, tuple[float, float]]:
    """Path -> (rate, decay)."""
    if isinstance(groups, dict):
        return {path: (float(rate), float(decay)) for path, (rate, decay) in groups.items()}
    listed = [(p.path, (float(g["lr"]), float(g["weight_decay"]))) for g in groups for p in g["params"]]
    rates = dict(listed)
    if len(rates) < len(listed):
        twice = next(path for path in rates if sum(path == other for other, _pair in listed) > 1)
        raise BadInput(
            _("every variable once, under a path of its own"),
            _("{path} twice").format(path=twice),
            _("give each layer its own name and put each variable into one group"),
        )
    return rates


def snapshot(model: keras.Model) -> dict[str, Any]:
    """The backbone's parameters as they are now, by path: the start that `l2_sp` pulls towards."""
    return {p.path: ops.copy(ops.convert_to_tensor(p)) for p in backbone_parameters(model)}


def l2_sp(model: keras.Model, start: dict[str, Any], alpha: float, beta: float | None = None) -> Any:
    """A penalty that keeps fine-tuning near its start (L2-SP: Li, Grandvalet & Davoine, 2018, equation 3).

        alpha / 2 * ||w - w0||²  over the backbone   +   beta / 2 * ||w||²  over the head

    Unlike weight decay, which pulls to 0, it pulls to the pretrained weights. Add it to the loss, and switch weight
    decay off.

    Args:
        model: a classifier.
        start: what `snapshot` gave before training.
        alpha: strength for the backbone.
        beta: strength for the head, which has no start to keep; None means alpha.

    Returns:
        A scalar, differentiable in the model's parameters.

    Raises:
        BadInput: `start` is of another model.
    """
    backbone = backbone_parameters(model)
    if {p.path: tuple(p.shape) for p in backbone} != {path: tuple(w.shape) for path, w in start.items()}:
        raise BadInput(
            _("start weights of this very backbone"), _("other names or shapes"), _("take them with snapshot(model)")
        )
    moved = sum((ops.sum(ops.square(p - start[p.path])) for p in backbone if p.trainable), ops.zeros(()))
    size = sum((ops.sum(ops.square(p)) for p in parameters(head(model))), ops.zeros(()))
    return alpha / 2 * moved + (alpha if beta is None else beta) / 2 * size
