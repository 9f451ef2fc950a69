"""The clinic: a small student of VGG16 that never hears its teacher."""

import numpy as np

from tl_course.exercises.clinic import _keras_watch as keras_watch
from tl_course.exercises.clinic import _vgg16_student_code as code
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

SIZE = (8, 12)
FILE = "task.weights.h5"
RUNS = {"still": None, "labels": (1.0, 1.0), "teacher": (0.0, 1.0), "both": None}
"""What is run, with alpha and temperature; None: those of the case. The first has a rate of 0."""


def cases(rng: np.random.Generator) -> list[Case]:
    """A tiny network for 20 source classes, one for the task's classes, and prepared images."""
    num_classes, count = int(rng.integers(3, 5)), int(rng.integers(36, 40))
    task = keras_watch.vgg_weights(rng, SIZE, num_classes)
    task[0] *= 40  # for images of little contrast, on which no untrained student is sure of itself
    task[8] *= 3
    inputs = {
        "pretrained": keras_watch.vgg_weights(rng, SIZE, 20),
        "task": task,
        "images": rng.normal(0, 1.5, size=(count, *SIZE, 3)).astype(np.float32),
        "labels": np.eye(num_classes, dtype=np.float32)[rng.integers(0, num_classes, size=count)],
        "num_classes": num_classes,
        "width": 4,
        "temperature": float(rng.uniform(2.5, 3.5)),
        "alpha": float(rng.uniform(0.3, 0.4)),
        "lr": float(rng.uniform(0.2, 0.3)),
    }
    return [Case("a task", inputs, tuple(EXERCISE.criteria))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Calculate the losses, and the step of the student's last bias, from its logits before training."""
    inputs, runs = case.inputs, observed["runs"]
    told = keras_watch.vgg_scores(inputs["task"], inputs["images"])
    logits = observed["logits"]
    found = [*_teacher(inputs, observed), *_small(observed)]
    if logits.shape != told.shape or observed["bias"].shape != told.shape[1:]:
        text = _("the student does not give one number for each class and image, with a bias in its last layer")
        return [*found, *(holds(name, False, text) for name in ("hard", "gradient", "logits", "temperature"))]
    for criterion, run in (("hard", "labels"), ("logits", "teacher"), ("temperature", "both")):
        alpha, temperature = RUNS[run] or (inputs["alpha"], inputs["temperature"])
        losses, gradient = _right(logits, told, inputs["labels"], alpha, temperature)
        right = observed["bias"] - inputs["lr"] * gradient
        found += [
            _loss(criterion, runs[run]["losses"], losses, 1),
            close(criterion, runs[run]["bias"], right, _("the student's last bias after one step"), 1e-3, 1e-5),
        ]
        if run == "teacher":
            towards = float((runs[run]["bias"] - observed["bias"]) @ -gradient)
            text = _("with the teacher's term alone, a step does not bring the student closer to the teacher")
            found.append(holds("gradient", towards > 1e-7, text))
    return [*found, _loss("temperature", runs["still"]["losses"], losses, 2)]


def _loss(criterion: str, seen: np.ndarray, right: tuple[float, float], epochs: int) -> Finding:
    """The loss of each epoch: with the divergence or the cross-entropy to the teacher, which have the same gradient."""
    text = _("the loss in the history is {seen}; from logits and labels it is {right:.5g} in each of {epochs} epochs")
    text = text.format(seen=[float(f"{value:.5g}") for value in seen], right=right[0], epochs=epochs)
    good = len(seen) == epochs and any(np.allclose(seen, value, rtol=1e-3, atol=1e-5) for value in right)
    return holds(criterion, good, text)


def _right(
    logits: np.ndarray, told: np.ndarray, labels: np.ndarray, alpha: float, temperature: float
) -> tuple[tuple[float, float], np.ndarray]:
    """Both forms of the loss, and its gradient by the last bias."""
    own, soft, target = (_softmax(scores) for scores in (logits, logits / temperature, told / temperature))
    hard = -np.mean((labels * np.log(own)).sum(axis=1))
    entropy = -np.mean((target * np.log(soft)).sum(axis=1))
    divergence = entropy + np.mean((target * np.log(np.clip(target, 1e-7, 1))).sum(axis=1))
    losses = tuple(alpha * hard + (1 - alpha) * temperature**2 * value for value in (divergence, entropy))
    gradient = alpha * (own - labels) + (1 - alpha) * temperature * (soft - target)
    return losses, gradient.mean(axis=0)


def _softmax(scores: np.ndarray) -> np.ndarray:
    odds = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def _teacher(inputs: dict[str, Plain], observed: dict[str, Plain]) -> list[Finding]:
    asked = keras_watch.which(observed["seen"], inputs["images"])
    heard = len(set(asked.tolist()) - {keras_watch.NOT_SEEN})
    text = _("the teacher was asked about {count} of the {total} images").format(
        count=heard, total=len(inputs["images"])
    )
    number = _("the teacher tells {count} classes apart, the task has {right}")
    number = number.format(count=observed["teacher classes"], right=inputs["num_classes"])
    given = all(np.array_equal(a, b) for a, b in zip(observed["teacher"], inputs["task"], strict=False))
    return [
        holds("asked", heard == len(inputs["images"]), text),
        holds("asked", observed["moved"] == 0, _("the teacher's weights changed")),
        holds("classes", observed["teacher classes"] == inputs["num_classes"], number),
        holds("classes", given, _("the teacher has other weights than those of the task's file")),
    ]


def _small(observed: dict[str, Plain]) -> list[Finding]:
    sizes = observed["sizes"]
    text = _("the student has {student} weights, the teacher {teacher}").format(student=sizes[0], teacher=sizes[1])
    return [holds("small", 4 * sizes[0] <= sizes[1], text)]


def probe_keras(candidate, inputs):
    """Distil four times from the same start, with a rate of 0 and then with either term or both."""
    runs = {name: _run(candidate, inputs, name) for name in RUNS}
    shared = ("seen", "moved", "teacher classes", "teacher", "sizes", "logits", "bias")
    return {"runs": runs, **{name: runs["still"][name] for name in shared}}


def _run(candidate, inputs, name: str) -> dict[str, Plain]:
    import keras

    watch, still = keras_watch.Watch(), name == "still"
    alpha, temperature = RUNS[name] or (inputs["alpha"], inputs["temperature"])
    images, labels = inputs["images"].copy(), inputs["labels"].copy()
    options = {"epochs": 2 if still else 1, "batch_size": 16 if still else len(images)}
    with keras_watch.watching(watch):
        keras.utils.set_random_seed(0)
        backbone = keras_watch.vgg16(inputs["pretrained"], SIZE, watch, {FILE: inputs["task"]})
        sizes = [inputs[key] for key in ("num_classes", "width")]
        rates = {"temperature": temperature, "alpha": alpha, "lr": 0.0 if still else inputs["lr"]}
        result = candidate(images, labels, *sizes, backbone, FILE, **rates, **options)
        teacher, student, history = keras_watch.returned(result, 3)
        models = isinstance(teacher, keras.Model) and isinstance(student, keras.Model)
        if not models or not hasattr(history, "history"):
            raise NotPlain(_("the teacher, the student and the history of its training were expected back"))
        seen = np.concatenate(watch.seen) if watch.seen else np.zeros((0, 1))
        logits = as_array(student(images, training=False))
    if np.all(logits >= 0) and np.allclose(logits.sum(axis=-1), 1, atol=1e-3):  # it gives probabilities
        logits = np.log(np.clip(logits, 1e-7, 1))
    biases = [as_array(value) for value in student.trainable_variables if len(value.shape) == 1]
    return {
        "losses": np.array(history.history.get("loss", []), dtype=np.float64),
        "bias": biases[-1] if biases else np.zeros(0),
        "logits": logits,
        "seen": seen,
        "moved": watch.moved(),
        "teacher": [as_array(value) for value in teacher.get_weights()],
        "teacher classes": int(teacher.output_shape[-1]),
        "sizes": [int(student.count_params()), int(teacher.count_params())],
    }


EXERCISE = Exercise(
    id="clinic-vgg16-student",
    title=_("Clinic: a small student of VGG16"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=30,
    difficulty=5,
    points=7,
    statement=_(
        "A tutorial distils VGG16 into a small student. Seven things in it are wrong. Mend them: the teacher is the "
        "task's VGG16, asked about every image and left alone; the student has at most a quarter of its weights; the "
        "loss is `alpha` times the labels' cross-entropy plus `(1 - alpha)` T² times the divergence from teacher to "
        "student, both softened by T from logits. Return teacher, student and history."
    ),
    hints=(
        _("What does Keras pass to a loss function? Which model is loaded and never called?"),
        _("For each term: which argument is the truth, and which of the two can the student change?"),
        _(
            "Ask the teacher once (`classifier_activation=None`), hand its logits over together with the labels, and "
            "split them in the loss. A convolution and an average make a small student."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("The teacher is asked once, before training. When is that wrong?"),
            _(
                "When images are augmented anew in every epoch: the teacher must see what the student sees, so it has "
                "to be asked in every step. Otherwise its answers belong to another image, which can still help as a "
                "kind of label smoothing but is not what was meant."
            ),
        ),
        FollowUp(
            _("Why does dividing probabilities by T instead of logits do so little damage that it goes unseen?"),
            _(
                "Softmax of numbers between 0 and 1 is nearly uniform, whatever T is. The student learns to be unsure, "
                "the labels' term still pulls it to the right class, and accuracy looks fine. Only the gain from "
                "distillation is gone."
            ),
        ),
    ),
    complexity=_(
        "One forward pass of the teacher for each image, O(N·K) memory for its logits; then only the student's forward "
        "and backward passes, once for each image and epoch."
    ),
    criteria={
        "asked": Criterion(_("the teacher is asked about every image and does not change")),
        "classes": Criterion(_("the teacher knows the task's classes")),
        "hard": Criterion(_("the labels' term is the cross-entropy of the labels")),
        "gradient": Criterion(_("the student learns from the teacher's term")),
        "logits": Criterion(_("the teacher's term compares distributions made from logits")),
        "temperature": Criterion(_("both terms have their weights at any temperature")),
        "small": Criterion(_("the student has at most a quarter of the teacher's weights")),
    },
    cases=cases,
    judge=judge,
    time_limit=30.0,
    variants={
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            starter=code.STARTER,
            alternatives={"a model that distils": code.DISTILLER, "two outputs": code.TWO_OUTPUTS},
            mistakes=code.mistakes(),
        ),
    },
)
