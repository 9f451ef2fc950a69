"""The code of the clinic's case on a frozen VGG16: reference, starter, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

HEADER = """
import keras
from keras import layers
from keras.applications.vgg16 import preprocess_input


def build_classifier(image_shape, num_classes, num_hidden, backbone):
    # a pretrained network without its top, global average pooling, and a new head
"""
BUILD = """    base = backbone(weights="imagenet", include_top=False)
    inputs = keras.Input(image_shape)
    x = base(preprocess_input(inputs))
    x = layers.GlobalAveragePooling2D()(x)
"""
FAULTY_BUILD = """    base = backbone(weights="imagenet", include_top=False)
    inputs = base.input
    x = layers.Flatten()(base.output)
"""
MIDDLE = '''    x = layers.Dense(num_hidden, activation="relu")(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    for layer in base.layers:
        layer.trainable = False
    return base, keras.Model(inputs, outputs)


def train_in_two_stages(train, val, num_classes, num_hidden, backbone, head_lr, fine_lr, epochs, batch_size):
    """Train a new head on a frozen backbone, then the head and the backbone's block 5.

    Args:
        train: photographs, RGB, 0..255, float32, shape (N, H, W, 3), and one-hot labels (N, num_classes).
        val: the same for validation.
        num_classes: classes of the new task.
        num_hidden: units of the head's hidden layer (ReLU).
        backbone: keras.applications.VGG16, or a function with the same arguments.
        head_lr: Adam's rate in the first stage.
        fine_lr: Adam's rate in the second stage.
        epochs: of each stage.
        batch_size: images per step.

    Returns:
        The model, which takes photographs as they come, and the history of each stage.
    """
    base, model = build_classifier(train[0].shape[1:], num_classes, num_hidden, backbone)
    options = {"epochs": epochs, "batch_size": batch_size, "validation_data": val}
'''
TRAINING = """    model.compile(keras.optimizers.Adam(head_lr), loss="categorical_crossentropy", metrics=["accuracy"])
    first = model.fit(*train, **options)
    for layer in base.layers:
        layer.trainable = layer.name.startswith("block5")
    model.compile(keras.optimizers.Adam(fine_lr), loss="categorical_crossentropy", metrics=["accuracy"])
    second = model.fit(*train, **options)
    return model, (first, second)
"""
FAULTY_TRAINING = """\
    model.compile(keras.optimizers.Adam(lr=head_lr), loss="categorical_crossentropy", metrics=["accuracy"])
    first = model.fit(*train, **options)
    base.trainable = True
    second = model.fit(*train, **options)
    return model, (first, second)
"""
KERAS = HEADER + BUILD + MIDDLE + TRAINING
STARTER = HEADER + FAULTY_BUILD + MIDDLE + FAULTY_TRAINING

POOLING = """
import keras
from keras import layers
from keras.applications.vgg16 import preprocess_input


def train_in_two_stages(train, val, num_classes, num_hidden, backbone, head_lr, fine_lr, epochs, batch_size):
    shape = train[0].shape[1:]
    base = backbone(include_top=False, pooling="avg", input_shape=shape)
    head = [layers.Dense(num_hidden, activation="relu"), layers.Dense(num_classes, activation="softmax")]
    model = keras.Sequential([keras.Input(shape), layers.Lambda(preprocess_input), base, *head])
    histories = []
    for lr, fine in ((head_lr, False), (fine_lr, True)):
        base.trainable = fine
        for layer in base.layers[:3]:
            layer.trainable = False
        model.compile(optimizer=keras.optimizers.Adam(lr), loss="categorical_crossentropy", metrics=["accuracy"])
        histories.append(model.fit(*train, validation_data=val, epochs=epochs, batch_size=batch_size))
    return model, histories
"""

CACHED = """
import keras
from keras import layers


def train_in_two_stages(train, val, num_classes, num_hidden, backbone, head_lr, fine_lr, epochs, batch_size):
    inputs = keras.Input(train[0].shape[1:])
    mean = layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68])
    base = backbone(weights="imagenet", include_top=False, input_tensor=mean(inputs[..., ::-1]))
    pooled = keras.ops.mean(base.output, axis=(1, 2))
    features = keras.Model(inputs, pooled)
    head = keras.Sequential([layers.Dense(num_hidden, "relu"), layers.Dense(num_classes), layers.Softmax()])
    loss = keras.losses.CategoricalCrossentropy()
    head.compile(keras.optimizers.Adam(head_lr), loss, metrics=["accuracy"])
    cached = [features.predict(images, verbose=0) for images in (train[0], val[0])]
    size = {"epochs": epochs, "batch_size": batch_size}
    first = head.fit(cached[0], train[1], validation_data=(cached[1], val[1]), **size)
    model = keras.Model(inputs, head(pooled))
    base.get_layer("block1_conv1").trainable = False
    model.compile(keras.optimizers.Adam(fine_lr), loss, metrics=["accuracy"])
    return model, [first, model.fit(*train, validation_data=val, **size)]
"""

MESSAGES = {
    "starter": _("this is the program as it was: start with what stops it, then compare the comments with the code"),
    "flattened": _(
        "every position of every feature map has its own weight in the head, and the comment says otherwise"
    ),
    "maximum": _("one number a feature map, but the largest instead of the mean"),
    "raw-pixels": _("what prepares the images is imported, and no line calls it"),
    "outside": _("training is right, but whoever uses the model has to know how its images were prepared"),
    "scaled": _("0 to 1 is the convention of other networks than this one"),
    "old-name": _("the optimiser's rate had another name in earlier versions"),
    "one-rate": _("the second stage goes at the rate of the first"),
    "not-compiled": _("the layers say that they are trainable; what takes the steps was set up before that"),
    "rate-only": _("the rate is the second stage's, but what takes the steps still leaves out the unfrozen layers"),
    "one-stage": _("the second stage that the program promises trains nothing of the backbone"),
    "all-unfrozen": _("the early layers, which hold the most general features, move as well"),
    "from-the-start": _("the backbone moves in the first stage already, while the head knows nothing"),
}
FREEZE = "    for layer in base.layers:\n        layer.trainable = False\n"
UNFREEZE = '        layer.trainable = layer.name.startswith("block5")\n'
SECOND = '    model.compile(keras.optimizers.Adam(fine_lr), loss="categorical_crossentropy", metrics=["accuracy"])\n'
TENSORS = '    options = {"epochs": epochs, "batch_size": batch_size, "validation_data": val}\n'
EDITS = {
    "flattened": (("layers.GlobalAveragePooling2D()", "layers.Flatten()"),),
    "maximum": (("layers.GlobalAveragePooling2D()", "layers.GlobalMaxPooling2D()"),),
    "raw-pixels": (("base(preprocess_input(inputs))", "base(inputs)"),),
    "outside": (
        ("base(preprocess_input(inputs))", "base(inputs)"),
        (TENSORS, "    train, val = ((preprocess_input(x.copy()), y) for x, y in (train, val))\n" + TENSORS),
    ),
    "scaled": (("base(preprocess_input(inputs))", "base(inputs / 255)"),),
    "old-name": (("Adam(head_lr)", "Adam(lr=head_lr)"),),
    "one-rate": (("Adam(fine_lr)", "Adam(head_lr)"),),
    "not-compiled": ((SECOND, ""),),
    "rate-only": ((SECOND, "    model.optimizer.learning_rate = fine_lr\n"),),
    "one-stage": ((UNFREEZE, "        layer.trainable = False\n"),),
    "all-unfrozen": ((UNFREEZE, "        layer.trainable = True\n"),),
    "from-the-start": ((FREEZE, ""),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
