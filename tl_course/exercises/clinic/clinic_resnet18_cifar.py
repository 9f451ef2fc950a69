"""The clinic: ResNet18 on CIFAR-10."""

import numpy as np

from tl_course.exercises.clinic import _resnet18_cifar_code as code
from tl_course.exercises.clinic._torch_images import Call, cross_entropy, draw_colours, read_calls, tiny_resnet
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

CLASSES, MOMENTUM = 10, 0.9


def cases(rng: np.random.Generator) -> list[Case]:
    """Images of 32 × 32 pixels, each of one colour with a black bar at the left."""
    train, test = 20, 7
    inputs = {
        "colours": draw_colours(rng, train + test),
        "labels": np.concatenate([rng.permutation(train) % CLASSES, rng.permutation(test)]),
        "train": train,
        "lr": float(rng.uniform(0.02, 0.05)),
        "num_epochs": 2,
        "batch_size": 4,
        "image_size": 64,
        "held_out": 4,
    }
    return [Case("small images", inputs, tuple(EXERCISE.criteria))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Recognise the images by their colours, and calculate losses, steps and accuracies from the logits."""
    inputs = case.inputs
    calls = read_calls(observed["log"], inputs["colours"])
    train = [call for call in calls if call.grad and (call.images < inputs["train"]).all()]
    rest = [call for call in calls if not (call.grad and (call.images < inputs["train"]).all())]
    scales = all(call.scale == "imagenet" for call in calls)
    positions = {tuple(call.map) for call in calls}
    modes = bool(rest) and all(call.training for call in train) and not any(call.training or call.grad for call in rest)
    maps = _("the last feature map has {positions} positions").format(positions=sorted(positions))
    return [
        holds("head", bool(observed["weights"]), _("the network was built without its pretrained weights")),
        *_steps(inputs, train),
        holds("scale", scales, _("the network saw pixels on another scale than its pretrained weights expect")),
        holds("map", bool(positions) and min(min(area) for area in positions) > 1, maps),
        *_augmentation(train, rest),
        *_validation(case, observed, train, rest),
        holds("modes", modes, _("some batch was trained on, or evaluated, in the wrong mode")),
    ]


def _steps(inputs: dict[str, Plain], train: list[Call]) -> list[Finding]:
    """The head's bias after each step, from the logits: SGD with momentum."""
    if not train or any(call.logits.shape[1] != CLASSES for call in train):
        return [holds("head", False, _("one logit for each of the ten classes was expected"))]
    velocity, right = 0.0, [train[0].bias.astype(np.float64)]
    for call in train[:-1]:
        odds = np.exp(call.logits - call.logits.max(axis=1, keepdims=True).astype(np.float64))
        error = odds / odds.sum(axis=1, keepdims=True) - np.eye(CLASSES)[inputs["labels"][call.images]]
        velocity = MOMENTUM * velocity + error.mean(axis=0)
        right.append(right[-1] - inputs["lr"] * velocity)
    return [close("head", [call.bias for call in train], right, _("the head's bias before each step"), atol=1e-4)]


def _augmentation(train: list[Call], rest: list[Call]) -> list[Finding]:
    views: dict[int, list[np.ndarray]] = {}
    for call in train:
        for number, layout in zip(call.images.tolist(), call.layout, strict=True):
            views.setdefault(number, []).append(layout)
    changed = [not np.allclose(found[0], found[-1], atol=1e-3) for found in views.values()]
    bars = [call.layout.reshape(-1, 4, 4)[:, :, [0, 3]].mean(axis=1) for call in rest]
    upright = all((left_right[:, 0] < left_right[:, 1]).all() for left_right in bars)
    return [
        holds("augmentation", any(changed), _("each training image is the same in every epoch")),
        holds("augmentation", upright, _("some image that is only measured on was altered")),
    ]


def _validation(case: Case, observed: dict[str, Plain], train: list[Call], rest: list[Call]) -> list[Finding]:
    inputs, epochs = case.inputs, case.inputs["num_epochs"]
    order = np.concatenate([call.images for call in train]) if train else np.zeros(0, dtype=int)
    trained, kept = set(order.tolist()), inputs["train"] - inputs["held_out"]
    held = [call for call in rest if not trained & set(call.images.tolist()) and (call.images < inputs["train"]).all()]
    test = [call for call in rest if (call.images >= inputs["train"]).all()]
    late = bool(test) and bool(train) and min(call.at for call in test) > train[-1].at
    whole = len(order) == epochs * kept and all(
        len(set(each.tolist())) == kept and set(each.tolist()) == trained for each in order.reshape(epochs, -1)
    )
    rounds = order.reshape(epochs, -1) if whole else np.zeros((2, 0))
    right = _hits(inputs, held).reshape(-1, inputs["held_out"]).mean(axis=1)
    batches = {len(call.images) for call in train} == {inputs["batch_size"]}
    found = [
        holds("validation", whole and batches, _("not every image but those held out is trained on once per epoch")),
        holds("validation", not np.array_equal(rounds[0], rounds[1]), _("every epoch comes in the same order")),
        holds("validation", late, _("the test images have one use: one measurement, after all training")),
        close("validation", observed["test"], _hits(inputs, test).mean(), _("the test accuracy")),
        close("validation", observed["val"], right, _("history['val']")),
    ]
    if whole:
        each = [cross_entropy(call.logits, inputs["labels"][call.images]) for call in train]
        right = np.concatenate(each).reshape(epochs, -1).mean(axis=1)
        found.append(close("validation", observed["loss"], right, _("history['loss']"), atol=1e-4))
    return found


def _hits(inputs: dict[str, Plain], calls: list[Call]) -> np.ndarray:
    hits = [call.logits.argmax(axis=1) == inputs["labels"][call.images] for call in calls]
    return np.concatenate(hits).astype(float) if hits else np.full(inputs["held_out"], np.nan)


def probe_pytorch(candidate, inputs):
    """Run the program on images whose colours name them, and note what its network is shown."""
    from PIL import Image
    from torch.utils.data import Dataset

    log: list[dict[str, Plain]] = []
    built = []

    def resnet18(weights=None, progress=True):
        """Like torchvision.models.resnet18."""
        if weights not in (None, "DEFAULT", "IMAGENET1K_V1"):
            raise KeyError(weights)
        built.append(weights is not None)
        return tiny_resnet(log.append, classes=20)

    class Images(Dataset):
        """Like torchvision.datasets.CIFAR10 with its folder filled in."""

        def __init__(self, train=True, transform=None) -> None:
            part = slice(inputs["train"]) if train else slice(inputs["train"], None)
            self.colours, self.targets, self.transform = inputs["colours"][part], inputs["labels"][part], transform

        def __len__(self) -> int:
            return len(self.targets)

        def __getitem__(self, index):
            pixels = np.tile(self.colours[index], (32, 32, 1))
            pixels[:, :4] = 0
            image = Image.fromarray(pixels)
            return (image if self.transform is None else self.transform(image)), int(self.targets[index])

    names = ("num_epochs", "lr", "batch_size", "image_size", "held_out")
    _net, history, accuracy = candidate(resnet18, Images, **{name: inputs[name] for name in names})
    found = {name: as_array(history.get(name, [])) for name in ("loss", "val")}
    return {**found, "test": as_array(accuracy), "log": log, "weights": built == [True]}


EXERCISE = Exercise(
    id="clinic-resnet18-cifar",
    title=_("Clinic: ResNet18 on CIFAR-10"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=30,
    difficulty=4,
    points=6,
    statement=_(
        "A tutorial fine-tunes ResNet18 on CIFAR-10 (10 classes, 32 × 32 pixels) and has **six** faults. Mend it: the "
        "head fits; pixels are scaled as the ImageNet weights expect; the last feature map has more than one position "
        "(resize to `image_size`, or another stem); only training images are flipped or cropped at random; `held_out` "
        "training images are kept for validation; modes are right. Return the network, `history` with `'loss'` and "
        "`'val'` (mean loss and validation accuracy of each epoch), and the test accuracy, measured once, at the end. "
        "`cifar10(train=…, transform=…)` opens the data. Keep SGD, batches and shuffling."
    ),
    hints=(
        _("Write the shape behind each stage for a picture of 32 pixels. Which layer of the program contradicts it?"),
        _("Three kinds of images, three uses: to learn from, to choose by, to report. How many does the program have?"),
        _(
            "Open the training images twice, once with random flips and crops and once without, and give each loader "
            "its own part of one permutation; `train()` at the start of an epoch, `eval()` before measuring."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Resize the images to 224 pixels, or change the stem: what does each cost and keep?"),
            _(
                "Resizing keeps all pretrained weights and their scale of structures, for about fifty times the "
                "computation at 224 pixels; 64 or 96 is a compromise. A 3 × 3 stem without pooling works on 32 pixels "
                "but throws away the first layer's weights, and later ones see structures at another scale."
            ),
        ),
        FollowUp(
            _("The network had no `eval()`, yet its test accuracy was fine. When would it not be?"),
            _(
                "On large shuffled batches the batch's statistics resemble the running ones. With one image at a time, "
                "or batches of one class, they do not, and the same network's accuracy collapses."
            ),
        ),
    ),
    criteria={
        "head": Criterion(_("trains a head that fits the network's features, with SGD and momentum")),
        "scale": Criterion(_("gives the pretrained network pixels on the scale it knows")),
        "map": Criterion(_("leaves the last stage more than one position")),
        "augmentation": Criterion(_("flips or crops training images at random, and only these")),
        "validation": Criterion(_("validates on training images held out, and tests once, at the end")),
        "modes": Criterion(_("trains in training mode, evaluates in inference mode without gradients")),
    },
    cases=cases,
    judge=judge,
    complexity=_(
        "Time grows with the square of image_size: per epoch one forward and backward pass of each training image and "
        "one forward pass of each held out. Memory: parameters, one momentum value for each, activations of one batch."
    ),
    variants={
        "pytorch": Variant(
            reference=code.REFERENCE,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"stem": code.STEM, "first rows": code.FIRST_ROWS},
            mistakes=code.mistakes(),
            equivalent={
                "correct += (predicted == labels).sum()": "a tensor of one number counts as well",
                "trainset = cifar10(transform=transforms.Compose([*AUGMENT, resize, *SCALE]))": "True is the default",
                "valset = cifar10(transform=transforms.Compose([resize, *SCALE]))": "True is the default",
            },
        ),
    },
)
