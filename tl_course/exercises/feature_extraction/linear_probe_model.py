"""A linear probe as a model: a frozen backbone and a new linear head."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Variant
from tl_course.exercises.feature_extraction import _linear_probe_code as code
from tl_course.exercises.feature_extraction._backbones import backbone_features, backbone_weights
from tl_course.exercises.feature_extraction._train_candidate import probe_keras, probe_pytorch
from tl_course.i18n import _

NOT_FROZEN = _("the backbone's parameters still learn: this is fine-tuning of everything, not a linear probe")
STATISTICS_MOVE = _(
    "no parameter of the backbone learns, yet it changes: some layers keep numbers that are updated in training mode, "
    "without any gradient"
)
SOFTMAX = _("these are probabilities, not logits: a loss that expects logits would turn them into probabilities again")
LOG_SOFTMAX = _(
    "these are log-probabilities: cross-entropy would not notice, but they are not the head's output as it is"
)
HEAD_FROZEN = _("the head is frozen together with the backbone, so nothing is left that could learn")
SOURCE_CLASSES = _("the head has as many outputs as ImageNet has classes, not as many as the target task")
ONLY_DETACHED = _("no gradient reaches the backbone, but its parameters still count as trainable")
HIDDEN_LAYER = _("the head has a hidden layer: it may do better, but it no longer measures how linear the features are")
NO_BIAS = _("the head has no bias, so it cannot shift a class's logit")
CLIPPED = _("negative logits are cut off: what comes back should be the linear layer's output as it is")
NEVER_TRAINS = _("the whole model stays in evaluation mode, so layers of a head such as Dropout would never be active")
BATCHNORM_ONLY = _(
    "BatchNorm is kept in inference mode, but it is not the only layer of a backbone that behaves differently in "
    "training"
)
WRONG_CALL = _("the backbone is asked to behave as in training, even when the model makes predictions")


def cases(rng: np.random.Generator) -> list[Case]:
    """A task with several classes and one with two; images whose statistics are not the backbone's."""
    found = []
    for name, features, num_classes in (("several classes", 4, int(rng.integers(5, 8))), ("two classes", 5, 2)):
        images = rng.normal(0.5, 2, size=(8, 3, 2, 3)).astype(np.float32)
        weights = backbone_weights(rng, features=features)
        labels = rng.permutation(np.arange(8) % num_classes)
        inputs = {"images": images, "labels": labels, "weights": weights, "num_classes": num_classes}
        found.append(Case(name, inputs, ("logits", "parameters", "frozen", "inference")))
    return found


def judge(case: Case, observed: dict[str, np.ndarray]) -> list[Finding]:
    """Logits from the head's weights, the size of the head, and what moved in training."""
    features = backbone_features(case.inputs["weights"], case.inputs["images"])
    right = (features.shape[1] + 1) * case.inputs["num_classes"]
    trainable, moved = int(observed["trainable"]), int(observed["moved"])
    count = _("{trainable} parameters are trainable; a linear head alone has {right} here")
    motion = _("{moved} parameters moved in training; a linear head alone has {right} here")
    return [
        _logits(observed, features),
        holds("parameters", trainable == right, count.format(trainable=trainable, right=right)),
        holds("frozen", moved == right, motion.format(moved=moved, right=right)),
        holds("inference", bool(observed["steady"]), _("the same images gave different logits twice in evaluation")),
        holds("inference", observed["statistics"] == 0, _("the backbone's BatchNorm statistics moved in training")),
        close("inference", observed["training logits"], observed["logits"], _("the logits in training mode")),
        holds(
            "inference",
            bool(observed["follows mode"]),
            _("`train()` and `eval()` no longer switch the model's own mode"),
        ),
    ]


def _logits(observed: dict[str, np.ndarray], features: np.ndarray) -> Finding:
    kernel, bias = observed["kernel"], observed["bias"]
    if kernel.size and bias.size:
        return close("logits", observed["logits"], features @ kernel + bias, _("the logits"))
    message = _(
        "logits of shape {shape}, and no linear layer from {inputs} features to the classes (with bias) was found"
    )
    return holds("logits", False, message.format(shape=observed["logits"].shape, inputs=features.shape[1]))


TORCH_HEAD, TORCH_OUT = "nn.Linear(feature_dim, num_classes)", "self.head(self.backbone(images))"
TORCH_ONLY_NORM = (
    "for module in self.backbone.modules():\n            module.train(mode and not hasattr(module, 'running_mean'))"
)
TORCH_MLP = "nn.Sequential(nn.Linear(feature_dim, 16), nn.ReLU(), nn.Linear(16, num_classes))"
KERAS_HEAD, KERAS_FREEZE = "layers.Dense(num_classes)", "self.backbone.trainable = False"
KERAS_MLP = 'keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(num_classes)])'
KERAS_BY_WEIGHT = "for weight in backbone.trainable_weights:\n            weight.trainable = False"

EXERCISE = Exercise(
    id="linear-probe-model",
    title=_("A frozen backbone and a new head"),
    lesson="03_feature_extraction",
    minutes=15,
    difficulty=5,
    points=5,
    statement=_(
        "Write `LinearProbe`, a model made of a backbone and a new linear head. It returns logits, (N, num_classes). "
        "Only the head's weights and biases are trainable and move in training. The backbone stays exactly as it is, "
        "BatchNorm statistics included, and its BatchNorm (in PyTorch its Dropout too) behaves in training as in "
        "evaluation, whoever calls `model.train()` (PyTorch) or `fit` (Keras). In PyTorch, `model.train()` and "
        "`model.eval()` both end in the method `train(mode)` of your class; the model's own mode still follows them."
    ),
    hints=(
        _("A backbone has two kinds of numbers: those that gradients change and those that a forward pass changes."),
        _("Freeze the first kind where you build the model; for the second, ask which mode the backbone runs in."),
        _(
            "PyTorch: `requires_grad_(False)`, and a `train` that switches the model as usual and then puts the "
            "backbone back. Keras: `trainable = False` before training, and call the backbone with `training=False`."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why are frozen parameters alone not enough when the backbone has BatchNorm?"),
            _(
                "Running mean and variance are no parameters: a forward pass in training mode updates them without "
                "any gradient. In that mode BatchNorm also normalises by the batch, so the frozen backbone's features "
                "depend on an image's neighbours and differ from those used later."
            ),
        ),
        FollowUp(
            _("The backbone never changes. How would you train the same head ten times faster?"),
            _(
                "Run the backbone once over all images, keep the features, and train the head on these: an epoch is "
                "then one small matrix product for each batch. This needs fixed inputs, so no random augmentation."
            ),
        ),
        FollowUp(
            _(
                "Keras: the backbone is unfrozen later. What must be called again, and what do its BatchNorm layers do "
                "then?"
            ),
            _(
                "compile() must be called again, because the training step is built for the variables that were "
                "trainable then. As long as the backbone is called with training=False, its BatchNorm layers keep "
                "using their stored statistics and do not update them; their gamma and beta become trainable."
            ),
        ),
    ),
    criteria={
        "logits": Criterion(_("returns the logits of a linear layer on the backbone's features"), weight=2),
        "parameters": Criterion(_("has the head's parameters as its only trainable ones")),
        "frozen": Criterion(_("moves the whole head in training, and no other parameter")),
        "inference": Criterion(_("keeps the backbone, and only the backbone, in inference mode"), needs=("logits",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe_pytorch,
            alternatives={"sequential": code.PYTORCH_SEQUENTIAL, "copy": code.PYTORCH_COPY},
            mistakes={
                "not-frozen": Mistake(NOT_FROZEN, ((".requires_grad_(False)", ""),)),
                "statistics-move": Mistake(STATISTICS_MOVE, (("        self.backbone.eval()\n", ""),)),
                "batchnorm-only": Mistake(BATCHNORM_ONLY, (("self.backbone.eval()", TORCH_ONLY_NORM),)),
                "softmax": Mistake(SOFTMAX, ((TORCH_OUT, f"{TORCH_OUT}.softmax(dim=1)"),)),
                "log-softmax": Mistake(LOG_SOFTMAX, ((TORCH_OUT, f"{TORCH_OUT}.log_softmax(dim=1)"),)),
                "head-frozen": Mistake(HEAD_FROZEN, ((TORCH_HEAD, f"{TORCH_HEAD}.requires_grad_(False)"),)),
                "source-classes": Mistake(SOURCE_CLASSES, ((TORCH_HEAD, "nn.Linear(feature_dim, 1000)"),)),
                "only-detached": Mistake(
                    ONLY_DETACHED, ((".requires_grad_(False)", ""), ("backbone(images)", "backbone(images).detach()"))
                ),
                "hidden-layer": Mistake(HIDDEN_LAYER, ((TORCH_HEAD, TORCH_MLP),)),
                "no-bias": Mistake(
                    NO_BIAS, (("feature_dim, num_classes)\n\n", "feature_dim, num_classes, bias=False)\n\n"),)
                ),
                "clipped": Mistake(CLIPPED, ((TORCH_OUT, f"{TORCH_OUT}.relu()"),)),
                "never-trains": Mistake(NEVER_TRAINS, (("super().train(mode)", "super().train(False)"),)),
            },
        ),
        "keras": Variant(
            reference=code.KERAS,
            probe=probe_keras,
            alternatives={"functional": code.KERAS_FUNCTIONAL, "sequential": code.KERAS_SEQUENTIAL},
            mistakes={
                "not-frozen": Mistake(NOT_FROZEN, ((f"        {KERAS_FREEZE}\n", ""), (", training=False", ""))),
                "statistics-move": Mistake(
                    STATISTICS_MOVE, ((KERAS_FREEZE, KERAS_BY_WEIGHT), (", training=False", ""))
                ),
                "training-mode": Mistake(WRONG_CALL, (("training=False", "training=True"),)),
                "softmax": Mistake(SOFTMAX, ((KERAS_HEAD, 'layers.Dense(num_classes, activation="softmax")'),)),
                "sigmoid": Mistake(SOFTMAX, ((KERAS_HEAD, 'layers.Dense(num_classes, activation="sigmoid")'),)),
                "head-frozen": Mistake(HEAD_FROZEN, ((KERAS_HEAD, "layers.Dense(num_classes, trainable=False)"),)),
                "source-classes": Mistake(SOURCE_CLASSES, ((KERAS_HEAD, "layers.Dense(1000)"),)),
                "only-detached": Mistake(
                    ONLY_DETACHED,
                    (
                        (f"        {KERAS_FREEZE}\n", ""),
                        (
                            "self.backbone(images, training=False)",
                            "ops.stop_gradient(self.backbone(images, training=False))",
                        ),
                        ("from keras import layers", "from keras import layers, ops"),
                    ),
                ),
                "hidden-layer": Mistake(HIDDEN_LAYER, ((KERAS_HEAD, KERAS_MLP),)),
                "no-bias": Mistake(NO_BIAS, ((KERAS_HEAD, "layers.Dense(num_classes, use_bias=False)"),)),
                "clipped": Mistake(CLIPPED, ((KERAS_HEAD, 'layers.Dense(num_classes, activation="relu")'),)),
            },
            equivalent={
                "return self.head(self.backbone(images))": "a frozen BatchNorm layer runs in inference mode by "
                "itself, and the backbone that is trained has no Dropout"
            },
        ),
    },
    complexity=_(
        "Each step pays for one forward pass of the backbone, and for a backward pass of the head alone: O(N·D·K) for "
        "D features and K classes. Features computed once would save the backbone's passes in all epochs but the "
        "first."
    ),
)
