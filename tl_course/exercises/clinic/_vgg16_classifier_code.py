"""The code of the clinic's first VGG16 case: reference, starter, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

KERAS = '''
import keras
from keras import layers
from keras.applications.vgg16 import preprocess_input


def build_classifier(num_classes, num_hidden, backbone):
    base = backbone(weights="imagenet", include_top=False, pooling="avg")
    base.trainable = False
    inputs = keras.Input(base.input_shape[1:])
    x = base(preprocess_input(inputs))
    x = layers.Dense(num_hidden, activation="relu")(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs)


def train_classifier(
    images, labels, num_classes, num_hidden, backbone, lr, epochs, batch_size, val_share
):
    """Train a new head on a pretrained backbone.

    Args:
        images: photographs, RGB, 0..255, float32, shape (N, H, W, 3), in random order.
        labels: classes 0..num_classes-1, integer, shape (N,).
        num_classes: classes of the new task.
        num_hidden: units of the head's hidden layer.
        backbone: keras.applications.VGG16, or a function with the same arguments.
        lr: Adam's rate.
        epochs: passes over the training images.
        batch_size: images per step.
        val_share: share of the images to hold out.

    Returns:
        The model (class probabilities) and the history of its training.
    """
    model = build_classifier(num_classes, num_hidden, backbone)
    optimizer = keras.optimizers.Adam(lr)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images, labels, epochs=epochs, batch_size=batch_size, validation_split=val_share)
    return model, history
'''

HEAD = KERAS[KERAS.index("def train_classifier") : KERAS.index("    model = build_classifier")]
STARTER = f"""
import keras
import numpy as np
from keras import layers


def build_classifier(num_classes, num_hidden, backbone):
    base = backbone(weights="imagenet")
    x = layers.Flatten()(base.output)
    x = layers.Dense(num_hidden, activation="relu")(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(base.input, outputs)


{HEAD}    x_train = np.asarray(images)
    model = build_classifier(num_classes, num_hidden, backbone)
    optimizer = keras.optimizers.Adam(lr)
    model.compile(optimizer=optimizer, loss="categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x_train, labels, epochs=epochs, batch_size=batch_size)
    return model, history
"""

FC2 = """
import keras
import numpy as np
from keras import layers
from keras.applications.vgg16 import preprocess_input


def train_classifier(
    images, labels, num_classes, num_hidden, backbone, lr, epochs, batch_size, val_share
):
    base = backbone()
    for layer in base.layers:
        layer.trainable = False
    x = base.get_layer("fc2").output
    x = layers.Dense(num_hidden, activation="relu")(x)
    model = keras.Model(base.input, layers.Dense(num_classes, activation="softmax")(x))
    pixels, one_hot = preprocess_input(np.array(images)), keras.utils.to_categorical(labels, num_classes)
    order = np.random.default_rng(0).permutation(len(images))
    held, rest = np.split(order, [round(val_share * len(images))])
    model.compile(keras.optimizers.Adam(lr), "categorical_crossentropy", metrics=["accuracy"])
    validation = (pixels[held], one_hot[held])
    history = model.fit(
        pixels[rest], one_hot[rest], epochs=epochs, batch_size=batch_size, validation_data=validation
    )
    return model, history
"""

CACHED = """
import keras
from keras import layers
from keras.applications.vgg16 import preprocess_input


def train_classifier(
    images, labels, num_classes, num_hidden, backbone, lr, epochs, batch_size, val_share
):
    base = backbone(include_top=False, pooling="avg", input_shape=images.shape[1:])
    features = base.predict(preprocess_input(images.copy()), batch_size=batch_size)
    head = keras.Sequential(
        [layers.Dense(num_hidden), layers.ReLU(), layers.Dense(num_classes), layers.Softmax()]
    )
    head.compile(keras.optimizers.Adam(lr), keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    history = head.fit(features, labels, batch_size, epochs, validation_split=val_share)
    return keras.Sequential([base, *head.layers]), history
"""

FLATTENED = """
import keras
import numpy as np
from keras import layers


def train_classifier(
    images, labels, num_classes, num_hidden, backbone, lr, epochs, batch_size, val_share
):
    base = backbone(weights="imagenet", include_top=False, input_shape=images.shape[1:])
    base.trainable = False
    mean = np.array([103.939, 116.779, 123.68])
    model = keras.Sequential(
        [
            base,
            layers.Flatten(),
            layers.Dense(num_hidden, activation="relu"),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )
    pixels, count = (images[:, :, :, [2, 1, 0]] - mean).astype("float32"), int(len(images) * (1 - val_share))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = lr
    history = model.fit(
        pixels[:count],
        labels[:count],
        epochs=epochs,
        batch_size=batch_size,
        validation_data=(pixels[count:], labels[count:]),
    )
    return model, history
"""

BASE = 'base = backbone(weights="imagenet", include_top=False, pooling="avg")'
MESSAGES = {
    "starter": _(
        "this is the program as it was: start with what stops it, then look at what the first new layer reads"
    ),
    "old-answers": _("the head still learns from the network's answers to its old question, not from what it saw"),
    "old-logits": _("without the softmax they are scores, but still those of the old task's classes"),
    "all-train": _("the whole network is given to Adam together with a head that knows nothing yet"),
    "frozen-after-all": _("everything is frozen, the new head as well"),
    "raw-pixels": _("the images have the right shape; the backbone was trained on another range and order of channels"),
    "scaled": _("0 to 1 is the convention of other networks than this one"),
    "twice": _("the images are prepared once outside and once more inside the model"),
    "order-kept": _("the mean is subtracted, but from the channels in the order in which they come"),
    "in-place": _("what prepares the images writes into the array it is given, which belongs to the caller"),
    "wrong-labels": _("this loss wants one column for each class, and the labels are single numbers"),
    "squared": _("it runs, but a distance to the one-hot rows is another loss than the one asked for"),
    "no-validation": _("all numbers in the history come from images the model has learned from"),
    "on-training": _("the images it is measured on are among those it learns from"),
}
FIT = "history = model.fit(images, labels, epochs=epochs, batch_size=batch_size, validation_split=val_share)"
EDITS = {
    "old-answers": ((BASE, 'base = backbone(weights="imagenet")'),),
    "old-logits": ((BASE, 'base = backbone(weights="imagenet", classifier_activation=None)'),),
    "all-train": (("    base.trainable = False\n", ""),),
    "frozen-after-all": (
        (
            "    return keras.Model(inputs, outputs)",
            "    model = keras.Model(inputs, outputs)\n    model.trainable = False\n    return model",
        ),
    ),
    "raw-pixels": (("base(preprocess_input(inputs))", "base(inputs)"),),
    "scaled": (("base(preprocess_input(inputs))", "base(inputs / 255)"),),
    "twice": ((FIT, FIT.replace("images", "preprocess_input(images.copy())")),),
    "order-kept": (("preprocess_input(inputs)", "layers.Rescaling(1.0, [-123.68, -116.779, -103.939])(inputs)"),),
    "in-place": (
        ("base(preprocess_input(inputs))", "base(inputs)"),
        (FIT, FIT.replace("images", "preprocess_input(images)")),
    ),
    "wrong-labels": (("sparse_categorical_crossentropy", "categorical_crossentropy"),),
    "squared": (
        ("sparse_categorical_crossentropy", "mean_squared_error"),
        (FIT, FIT.replace("labels", "keras.utils.to_categorical(labels, num_classes)")),
    ),
    "no-validation": ((", validation_split=val_share", ""),),
    "on-training": (("validation_split=val_share", "validation_data=(images, labels)"),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
