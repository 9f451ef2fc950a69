"""The code of the clinic's distillation from VGG16: reference, starter, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

SIGNATURE = '''
def distill(
    images, labels, num_classes, width, backbone, teacher_weights, temperature, alpha, lr, epochs, batch_size
):
    """Train a small student on labels and on what a teacher says.

    Args:
        images: prepared as VGG16 needs them, float32, shape (N, H, W, 3).
        labels: one-hot, float32, shape (N, num_classes).
        num_classes: classes of the task.
        width: of the student's hidden layer; a Dense layer with a bias comes last.
        backbone: keras.applications.VGG16, or a function with the same arguments.
        teacher_weights: file with the weights of a whole VGG16 that was fine-tuned to the task's classes.
        temperature: T, softens both distributions in the teacher's term.
        alpha: weight of the labels' term; the teacher's has (1 - alpha) T^2.
        lr: rate of plain SGD.
        epochs: passes over the images.
        batch_size: images per step.

    Returns:
        The teacher, the student and the history of its training.
    """
'''
STUDENT = """
def build_student(image_shape, num_classes, width):
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(width, kernel_size=3),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(num_classes),
        ]
    )

"""
LOSS = """
def distillation_loss(temperature, alpha):
    def loss(targets, logits):
        labels, teacher_logits = ops.split(targets, 2, axis=1)
        hard = keras.losses.categorical_crossentropy(labels, logits, from_logits=True)
        teacher, student = ops.softmax(teacher_logits / temperature), ops.softmax(logits / temperature)
        soft = keras.losses.kl_divergence(teacher, student)
        return alpha * hard + (1 - alpha) * temperature**2 * soft

    return loss

"""
BODY = """    teacher = backbone(weights=teacher_weights, classes=num_classes, classifier_activation=None)
    targets = np.concatenate([labels, teacher.predict(images)], axis=1)
    student = build_student(images.shape[1:], num_classes, width)
    student.compile(keras.optimizers.SGD(lr), loss=distillation_loss(temperature, alpha))
    history = student.fit(images, targets, epochs=epochs, batch_size=batch_size)
    return teacher, student, history
"""
KERAS = "\nimport keras\nimport numpy as np\nfrom keras import layers, ops\n\n" + STUDENT + LOSS + SIGNATURE + BODY

STARTER = (
    """
import keras
from keras import layers


def build_student(image_shape, num_classes, width):
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Flatten(),
            layers.Dense(width, activation="relu"),
            layers.Dense(num_classes, activation="softmax"),
        ]
    )


def distillation_loss(y_true, y_pred, teacher_output, alpha):
    logits = teacher_output
    hard = keras.losses.categorical_crossentropy(y_pred, y_true)
    soft = keras.losses.categorical_crossentropy(y_true, logits)
    return alpha * hard + (1 - alpha) * soft

"""
    + SIGNATURE
    + """    teacher = backbone(weights="imagenet")
    student = build_student(images.shape[1:], num_classes, width)
    student.compile(keras.optimizers.SGD(lr), loss=distillation_loss)
    history = student.fit(images, labels, epochs=epochs, batch_size=batch_size)
    return teacher, student, history
"""
)

DISTILLER = '''
import keras
from keras import layers, ops


class Distiller(keras.Model):
    """A student that asks its teacher about every batch."""

    def __init__(self, student, teacher, temperature, alpha):
        super().__init__()
        self.student, self.teacher, self.temperature, self.alpha = student, teacher, temperature, alpha
        self.teacher.trainable = False

    def call(self, images, training=False):
        return self.student(images, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        told = ops.log_softmax(self.teacher(x, training=False) / self.temperature)
        own = ops.log_softmax(y_pred / self.temperature)
        soft = ops.mean(ops.sum(ops.exp(told) * (told - own), axis=1))
        hard = -ops.mean(ops.sum(y * ops.log_softmax(y_pred), axis=1))
        return self.alpha * hard + (1 - self.alpha) * self.temperature**2 * soft


def distill(
    images, labels, num_classes, width, backbone, teacher_weights, temperature, alpha, lr, epochs, batch_size
):
    teacher = backbone(weights=teacher_weights, classes=num_classes, classifier_activation=None)
    inputs = keras.Input(images.shape[1:])
    x = layers.SeparableConv2D(width, 3, activation="relu")(inputs)
    student = keras.Model(inputs, layers.Dense(num_classes)(layers.GlobalMaxPooling2D()(x)))
    distiller = Distiller(student, teacher, temperature, alpha)
    distiller.compile(optimizer=keras.optimizers.SGD(lr))
    return teacher, student, distiller.fit(images, labels, batch_size, epochs)
'''

TWO_OUTPUTS = """
import keras
from keras import layers


def distill(
    images, labels, num_classes, width, backbone, teacher_weights, temperature, alpha, lr, epochs, batch_size
):
    whole = backbone(weights=teacher_weights, classes=num_classes)
    soft = whole.predict(images, verbose=0) ** (1 / temperature)
    soft /= soft.sum(axis=1, keepdims=True)
    inputs = keras.Input(images.shape[1:])
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(width, 3, strides=2, activation="relu")(inputs))
    logits = layers.Dense(num_classes)(x)
    student = keras.Model(inputs, layers.Softmax()(logits))
    both = keras.Model(inputs, [student.output, layers.Softmax()(layers.Rescaling(1 / temperature)(logits))])
    entropy = keras.losses.CategoricalCrossentropy
    weights = [alpha, (1 - alpha) * temperature**2]
    both.compile(keras.optimizers.SGD(lr), loss=[entropy(), entropy()], loss_weights=weights)
    return whole, student, both.fit(images, [labels, soft], epochs=epochs, batch_size=batch_size)
"""

MESSAGES = {
    "starter": _("this is the program as it was: start with what stops it, and ask what is never called"),
    "never-asked": _("the teacher is loaded, and the student learns from the labels twice"),
    "old-classes": _("its numbers have the right shape now, but they are about the first classes of another task"),
    "swapped": _("the cross-entropy is not symmetric: which argument is the truth, which the prediction?"),
    "no-gradient": _("the teacher's term compares two things that the student cannot change"),
    "probabilities": _("what is divided by the temperature has been through a softmax already"),
    "no-temperature": _("the temperature is a parameter of the program, and the loss does not use it"),
    "one-sided": _("only one of the two distributions is softened, so they cannot agree"),
    "no-square": _("softened gradients are weaker, and the two terms no longer weigh what alpha says"),
    "reversed": _("the divergence is taken from the wrong side"),
    "big": _("every pixel has a weight of its own for every hidden unit: count them and compare with the teacher"),
    "tenfold": _("a hidden layer for the averages is fine, as long as the student stays small"),
}
HARD = "keras.losses.categorical_crossentropy(labels, logits, from_logits=True)"
SOFT = "keras.losses.kl_divergence(teacher, student)"
SOFTENED = "ops.softmax(teacher_logits / temperature), ops.softmax(logits / temperature)"
EDITS = {
    "never-asked": (("teacher.predict(images)", "labels"),),
    "old-classes": (
        ("weights=teacher_weights, classes=num_classes, ", ""),
        ("teacher.predict(images)", "teacher.predict(images)[:, :num_classes]"),
    ),
    "swapped": ((HARD, "keras.losses.categorical_crossentropy(ops.softmax(logits), labels)"),),
    "no-gradient": ((SOFT, "keras.losses.categorical_crossentropy(labels, teacher)"),),
    "probabilities": ((", classifier_activation=None", ""),),
    "no-temperature": (
        (SOFTENED, "ops.softmax(teacher_logits), ops.softmax(logits)"),
        (" * temperature**2", ""),
    ),
    "one-sided": ((SOFTENED, "ops.softmax(teacher_logits / temperature), ops.softmax(logits)"),),
    "no-square": ((" * temperature**2", ""),),
    "reversed": ((SOFT, "keras.losses.kl_divergence(student, teacher)"),),
    "big": (
        (
            "            layers.Conv2D(width, kernel_size=3),\n",
            "            layers.Flatten(),\n            layers.Dense(width),\n",
        ),
        ("            layers.GlobalAveragePooling2D(),\n", ""),
    ),
    "tenfold": (("layers.Conv2D(width, kernel_size=3)", "layers.Conv2D(10 * width, kernel_size=3)"),),
}


def mistakes() -> dict[str, Mistake]:
    """The starter, and edits of the reference."""
    found = {name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()}
    return {"starter": Mistake(MESSAGES["starter"], source=STARTER), **found}
