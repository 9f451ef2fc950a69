"""A new classification head on any Keras classifier."""

from math import prod
from typing import Any

import keras
from keras import layers

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.keras.batchnorm import freezable_copy, layers_of, parameters, seeded

HEAD = "head"
"""Name of the layer that `replace_head` adds."""

_AFTER_HEAD = (layers.Activation, layers.Softmax, layers.Reshape, layers.Flatten)


def replace_head(model: keras.Model, num_classes: int, *, seed: int = 0, in_place: bool = False) -> keras.Model:
    """The model with a fresh linear layer for `num_classes` classes in place of its last one.

    Works for every classifier of keras.applications, with its top or without, and for any functional or sequential
    model: an old head (a last Dense layer, or the 1x1 convolution that MobileNet uses as one) goes, with its softmax;
    a model that has none gets one; a feature map is average-pooled first (Lin, Chen & Yan, 2014). Dropout before the
    head stays.

    Args:
        model: takes images (N, H, W, C). Its weights are kept but for the head's.
        num_classes: width of the new head, at least 1.
        seed: of the head's weights (Glorot & Bengio, 2010; biases are 0). Global random state is left as it was.
        in_place: share the layers with `model` instead of copying them: half the memory, but training the result
            changes `model` too (its old head apart), and BatchNorm statistics can be frozen only together with gain
            and shift.

    Returns:
        A functional model, images -> logits (N, num_classes): no softmax.

    Raises:
        BadInput: not a built functional or sequential model with one output, or `num_classes` below 1.
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
        raise BadInput(_("num_classes of at least 1"), repr(num_classes), _("count the classes: len(class_names)"))
    backbone = keras.Model(_inputs(_checked(model)), _features(model), name=model.name)
    if not in_place:
        backbone = freezable_copy(backbone, seed)
    x = backbone.output
    with seeded(seed):
        if len(x.shape) == 4:
            x = layers.GlobalAveragePooling2D(name=f"{HEAD}_pool")(x)
        glorot = keras.initializers.GlorotUniform(seed=seed)
        logits = layers.Dense(num_classes, kernel_initializer=glorot, dtype="float32", name=HEAD)(x)
    return keras.Model(_inputs(backbone), logits, name=model.name)


def head(model: keras.Model) -> keras.layers.Layer:
    """The last layer that gives one number a class: Dense, or a convolution over a single position.

    A subclassed model, such as a text classifier's, says itself which it is: its attribute `head`.

    Raises:
        BadInput: the model has no head.
    """
    if isinstance(own := getattr(model, HEAD, None), layers.Dense):
        return own
    found = _head(_checked(model))
    if found is None:
        raise BadInput(
            _("a model with a classification head"),
            _("{name}, which ends in features").format(name=model.name),
            _("add one: replace_head(model, num_classes)"),
        )
    return found


def feature_layer(model: keras.Model) -> keras.layers.Layer:
    """The layer whose output (N, D) reaches the head."""
    wanted = head(model).input
    return next(op for op in operations(model) if any(tensor is wanted for tensor in tensors(op.output)))


def head_parameters(model: keras.Model) -> list[keras.Variable]:
    """The parameters of the head: kernel and bias."""
    return parameters(head(model))


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers but the head, from input to output."""
    last = head(model)
    return [layer for layer in layers_of(model) if layer is not last]


def backbone_parameters(model: keras.Model) -> list[keras.Variable]:
    """All parameters but the head's, frozen or not, from input to output; no BatchNorm statistics."""
    return parameters(backbone_layers(model))


def operations(model: keras.Model) -> list[Any]:
    """The operations of a functional or sequential model, from input to output; an inner model is one operation."""
    return keras.Model(_inputs(model), model.outputs).operations


def tensors(structure: Any) -> list[Any]:
    """The symbolic tensors in an operation's input or output, which is a tensor or a list of them."""
    return keras.tree.flatten(structure)


def _inputs(model: keras.Model) -> Any:
    """The symbolic input, in a list only where there are several: so the new model takes a plain tensor as well."""
    return model.inputs[0] if len(model.inputs) == 1 else model.inputs


def _features(model: keras.Model) -> Any:
    """The symbolic tensor that reaches the head, or the output where there is no head."""
    last = _head(model)
    found = model.outputs[0] if last is None else last.input
    if len(found.shape) not in (2, 4):
        raise BadInput(
            _("a backbone that gives (N, D) or (N, H, W, C)"),
            _("shape {shape}").format(shape=tuple(found.shape)),
            _("cut the model before its pooling: keras.Model(model.inputs, some_layer.output)"),
        )
    return found


def _head(model: keras.Model) -> keras.layers.Layer | None:
    """Back from the output through what has no weights to a layer that gives one number a class."""
    made_by = {id(tensor): op for op in operations(model) for tensor in tensors(op.output)}
    op = made_by[id(model.outputs[0])]
    while isinstance(op, _AFTER_HEAD):
        op = made_by[id(op.input)]
    if isinstance(op, layers.Dense) or (isinstance(op, layers.Conv2D) and _sees_one_position(op)):
        return op
    if isinstance(op, keras.Model) and _head(op) is not None:
        raise BadInput(
            _("a model whose head is one of its own layers"),
            _("a head inside the inner model {name}").format(name=op.name),
            _("replace the inner model's head, then put the outer layers around it"),
        )
    return None


def _sees_one_position(convolution: layers.Conv2D) -> bool:
    return prod(convolution.kernel_size) == 1 and tuple(convolution.input.shape[1:3]) == (1, 1)


def _checked(model: Any) -> keras.Model:
    """The model, when its layers can be seen: functional or sequential, built, with one output."""
    got = type(model).__name__
    if isinstance(model, keras.Model):
        layers_seen = hasattr(model, "operations") or (isinstance(model, keras.Sequential) and model.built)
        if layers_seen and len(model.outputs) == 1:
            return model
        got = _("{name}, subclassed, not built, or with several outputs").format(name=model.name)
    raise BadInput(
        _("a functional or sequential keras.Model with one output"),
        got,
        _("build it with keras.Model(inputs, outputs), as keras.applications does"),
    )
