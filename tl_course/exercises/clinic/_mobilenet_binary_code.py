"""The code of the clinic's MobileNetV2 case: reference, starter, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

CLASSIFY = '''
    outputs = layers.Dense(1, activation="sigmoid")(x)
    return base, keras.Model(inputs, outputs)


def classify(model, images):
    return model.predict(images)


def fine_tune(train, val, new_images, augment, backbone, head_lr, fine_lr, epochs, batch_size):
    """Train a new head, fine-tune the whole network, and classify new photographs.

    Args:
        train: photographs, RGB, 0..255, float32, shape (N, H, W, 3), and labels 0 or 1, shape (N,).
        val: the same for validation.
        new_images: photographs that come in later, as they come: RGB, 0..255, shape (M, H, W, 3).
        augment: gives varied copies of photographs, RGB, 0..255, of the same shape.
        backbone: keras.applications.MobileNetV2, or a function with the same arguments.
        head_lr: Adam's rate in the first stage, which trains the head alone.
        fine_lr: Adam's rate in the second stage, which trains everything.
        epochs: of each stage.
        batch_size: images per step.

    Returns:
        The model, the history of each stage, and the new photographs' probabilities of class 1, shape (M, 1).
    """
    base, model = build_model(train[0].shape[1:], backbone)
'''
COMPILE = '    model.compile(keras.optimizers.Adam({}), loss="binary_crossentropy", metrics=["accuracy"])\n'
KERAS = (
    """
import keras
from keras import layers
from keras.applications.mobilenet_v2 import preprocess_input


def build_model(image_shape, backbone):
    base = backbone(input_shape=image_shape, include_top=False, weights="imagenet")
    base.trainable = False
    inputs = keras.Input(image_shape)
    x = base(preprocess_input(inputs))
    x = layers.GlobalAveragePooling2D()(x)"""
    + CLASSIFY
    + """    images = augment(train[0])
    options = {"epochs": epochs, "batch_size": batch_size, "validation_data": val}
"""
    + COMPILE.format("head_lr")
    + """    first = model.fit(images, train[1], **options)
    base.trainable = True
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
"""
    + COMPILE.format("fine_lr")
    + """    second = model.fit(images, train[1], **options)
    return model, (first, second), classify(model, new_images)
"""
)
STARTER = (
    """
import keras
from keras import layers


def build_model(image_shape, backbone):
    base = backbone(input_shape=image_shape, include_top=False, weights="imagenet")
    base.trainable = False
    inputs = base.input
    x = layers.GlobalAveragePooling2D()(base.output)"""
    + CLASSIFY
    + """    images = augment(train[0]) / 255.0
    steps = len(images) // batch_size
    options = {"epochs": epochs, "batch_size": batch_size, "steps_per_epoch": steps}
"""
    + COMPILE.format("head_lr")
    + """    first = model.fit(images, train[1], **options)
    # fine-tune the network at a small rate
"""
    + COMPILE.format("fine_lr")
    + """    second = model.fit(images, train[1], **options)
    return model, (first, second), classify(model, new_images)
"""
)

OUTSIDE = """
import keras
from keras import layers
from keras.applications.mobilenet_v2 import preprocess_input


def fine_tune(train, val, new_images, augment, backbone, head_lr, fine_lr, epochs, batch_size):
    base = backbone(include_top=False, pooling="avg", weights="imagenet")
    model = keras.Sequential([base, layers.Dense(1, activation="sigmoid")])
    x, held = preprocess_input(augment(train[0]).copy()), preprocess_input(val[0].copy())
    histories = []
    for lr, trainable in ((head_lr, False), (fine_lr, True)):
        base.trainable = trainable
        for layer in base.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        model.optimizer.learning_rate = lr
        data = {"validation_data": (held, val[1]), "batch_size": batch_size, "epochs": epochs}
        histories.append(model.fit(x, train[1], **data))
    return model, histories, model.predict_on_batch(preprocess_input(new_images.copy()))
"""

LOGITS = """
import keras
import tensorflow as tf
from keras import layers


class InferenceMode(layers.Layer):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def call(self, x):
        return self.model(x, training=False)


def fine_tune(train, val, new_images, augment, backbone, head_lr, fine_lr, epochs, batch_size):
    base = backbone(weights="imagenet", include_top=False, input_shape=train[0].shape[1:])
    inputs = keras.Input(train[0].shape[1:])
    scaled = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    features = layers.GlobalAveragePooling2D()(InferenceMode(base)(scaled))
    model = keras.Model(inputs, layers.Activation("sigmoid")(layers.Dense(1)(features)))
    data = tf.data.Dataset.from_tensor_slices((augment(train[0]), train[1].astype("float32")))
    data = data.shuffle(len(train[0]), seed=0).batch(batch_size)
    held = tf.data.Dataset.from_tensor_slices(val).batch(batch_size)

    def stage(trainable, lr):
        base.trainable = trainable
        model.compile(keras.optimizers.Adam(lr), keras.losses.BinaryCrossentropy(), metrics=["accuracy"])
        return model.fit(data, validation_data=held, epochs=epochs)

    return model, [stage(False, head_lr), stage(True, fine_lr)], model(new_images, training=False)
"""

MESSAGES = {
    "starter": _("this is the program as it was: it runs, so compare what each stage claims with what it changes"),
    "zero-to-one": _("0 to 1 is the range of many networks, but this backbone learned on another one"),
    "scaled-at-serving": _("the model prepares photographs itself, and whoever uses it prepares them once more"),
    "outside-only": _("the images are prepared before training; those that come in later are not"),
    "never-unfrozen": _("the second stage has a rate of its own, and the head is still all that it trains"),
    "not-compiled": _("the layers say that they are trainable; what takes the steps was set up before that"),
    "one-rate": _("the second stage goes at the rate of the first"),
    "from-the-start": _("the backbone moves in the first stage already, while the head knows nothing"),
    "training-mode": _("what normalises by statistics replaces the pretrained ones by those of your small batches"),
    "said-when-built": _("what normalises by statistics replaces the pretrained ones by those of your small batches"),
    "no-validation": _("all numbers in the history come from images the model has learned from"),
    "varied-validation": _("the images it is measured on are varied like those it learns from"),
    "on-training": _("the images it is measured on are those it learns from"),
    "steps": _("a fixed number of steps is rounded down, and some images are left over"),
    "not-varied": _("the augmentation is never used"),
}
BATCHNORM = """    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
"""
OPTIONS = '"batch_size": batch_size, "validation_data": val}'
EDITS = {
    "zero-to-one": (("base(preprocess_input(inputs))", "base(layers.Rescaling(1 / 255)(inputs))"),),
    "scaled-at-serving": (("model.predict(images)", "model.predict(images / 255)"),),
    "outside-only": (
        ("base(preprocess_input(inputs))", "base(inputs)"),
        (
            "    images = augment(train[0])\n",
            "    images, held = (preprocess_input(x.copy()) for x in (augment(train[0]), val[0]))\n",
        ),
        (OPTIONS, OPTIONS.replace("val}", "(held, val[1])}")),
    ),
    "never-unfrozen": (("    base.trainable = True\n", ""),),
    "not-compiled": ((COMPILE.format("fine_lr"), ""),),
    "one-rate": (("Adam(fine_lr)", "Adam(head_lr)"),),
    "from-the-start": (("    base.trainable = False\n", ""),),
    "training-mode": ((BATCHNORM, ""),),
    "said-when-built": (
        (BATCHNORM, ""),
        ("base(preprocess_input(inputs))", "base(preprocess_input(inputs), training=False)"),
    ),
    "no-validation": ((OPTIONS, '"batch_size": batch_size}'),),
    "varied-validation": ((OPTIONS, OPTIONS.replace("val}", "(augment(val[0]), val[1])}")),),
    "on-training": ((OPTIONS, OPTIONS.replace("val}", "train}")),),
    "steps": ((OPTIONS, OPTIONS.replace("}", ', "steps_per_epoch": len(images) // batch_size}')),),
    "not-varied": (("augment(train[0])", "train[0]"),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
