"""The clinic: ResNet18 on a folder of images."""

import numpy as np

from tl_course.exercises.clinic import _resnet18_folder_code as code
from tl_course.exercises.clinic._torch_images import (
    Call,
    adam_step,
    cross_entropy,
    draw_colours,
    fresh_gradients,
    read_calls,
    tiny_resnet,
)
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

CLASSES = 3


def cases(rng: np.random.Generator) -> list[Case]:
    """Pictures of one colour each, of different sizes, in root/train and root/val."""
    counts = {"train": 12, "val": 7}
    inputs = {
        "colours": draw_colours(rng, sum(counts.values())),
        "sizes": rng.permuted(np.tile([[18, 25]], (sum(counts.values()), 1)) + rng.integers(0, 6, (19, 2)), axis=1),
        "labels": np.concatenate([np.arange(count) % CLASSES for count in counts.values()]),
        "train": counts["train"],
        "lr": float(rng.uniform(0.002, 0.006)),
        "num_epochs": 2,
        "batch_size": 4,
        "image_size": 16,
    }
    return [Case("a folder", inputs, ("size", "scale", "loss", "validation", "modes"))]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Recognise the pictures by their colours, and calculate losses and accuracies from the logits."""
    inputs = case.inputs
    calls = read_calls(observed["log"], inputs["colours"])
    train = [call for call in calls if call.grad and (call.images < inputs["train"]).all()]
    held_out = [call for call in calls if (call.images >= inputs["train"]).any()]
    rest = [call for call in calls if not call.grad or (call.images >= inputs["train"]).any()]
    sizes = {tuple(call.size) for call in calls}
    scales = all(call.scale == "imagenet" for call in calls)
    apart = all((call.images >= inputs["train"]).all() and not call.grad for call in held_out)
    modes = bool(rest) and all(call.training for call in train) and not any(call.training or call.grad for call in rest)
    right = sizes == {(inputs["image_size"],) * 2}
    return [
        holds("size", right, _("the network saw pictures of these sizes: {sizes}").format(sizes=sorted(sizes))),
        holds("scale", scales, _("the network saw pixels on another scale than its pretrained weights expect")),
        holds("scale", bool(observed["weights"]), _("the network was built without its pretrained weights")),
        *_losses(case, observed, train),
        holds(
            "validation", bool(held_out) and apart, _("the held-out pictures were not used for evaluation, and only so")
        ),
        close("validation", observed["accuracies"], _accuracies(inputs, held_out), _("the accuracies")),
        holds("modes", modes, _("some batch was trained on, or evaluated, in the wrong mode")),
    ]


def _accuracies(inputs: dict[str, Plain], calls: list[Call]) -> np.ndarray:
    """Per epoch, from the logits of the held-out pictures, which come once an epoch."""
    hits = [call.logits.argmax(axis=1) == inputs["labels"][call.images] for call in calls]
    each = len(inputs["labels"]) - inputs["train"]
    found = np.concatenate(hits) if hits else np.zeros(0)
    return found[: len(found) // each * each].reshape(-1, each).mean(axis=1)


def _losses(case: Case, observed: dict[str, Plain], calls: list[Call]) -> list[Finding]:
    inputs, epochs = case.inputs, case.inputs["num_epochs"]
    order = np.concatenate([call.images for call in calls]) if calls else np.zeros(0, dtype=int)
    whole = len(order) == epochs * inputs["train"]
    rounds = order.reshape(epochs, -1) if whole else np.zeros((epochs, 0))
    known = whole and all(np.array_equal(np.sort(each), np.arange(inputs["train"])) for each in rounds)
    shuffled = known and not np.array_equal(rounds[0], rounds[1])
    batches = all(len(call.images) == inputs["batch_size"] for call in calls)
    steps = fresh_gradients(observed["log"]) and np.isclose(adam_step(calls), inputs["lr"], rtol=0.05)
    found = [
        holds("loss", known and batches, _("an epoch shows each training picture once, in batches of batch_size")),
        holds("loss", shuffled, _("every epoch shows the training pictures in the same order")),
        holds("loss", bool(steps), _("the steps are not those of Adam with lr, each on its own batch's gradient")),
    ]
    if known:
        each = [cross_entropy(call.logits, inputs["labels"][call.images]) for call in calls]
        right = np.concatenate(each).reshape(epochs, -1).mean(axis=1)
        found.append(close("loss", observed["losses"], right, _("the losses of the epochs")))
    return found


def probe_pytorch(candidate, inputs):
    """Write the pictures, run the program, and note what its network is shown."""
    from PIL import Image

    for number, (colour, size) in enumerate(zip(inputs["colours"], inputs["sizes"], strict=True)):
        split = "train" if number < inputs["train"] else "val"
        folder = _folder("data", split, f"class {inputs['labels'][number]}")
        Image.new("RGB", tuple(size.tolist()), tuple(colour.tolist())).save(folder / f"{number:02}.png")
    log: list[dict[str, Plain]] = []
    built = []

    def resnet18(weights=None, progress=True):
        """Like torchvision.models.resnet18."""
        if weights not in (None, "DEFAULT", "IMAGENET1K_V1"):
            raise KeyError(weights)
        built.append(weights is not None)
        return tiny_resnet(log.append)

    settings = {name: inputs[name] for name in ("num_epochs", "lr", "batch_size", "image_size")}
    _model, losses, accuracies = candidate("data", resnet18, num_classes=CLASSES, **settings)
    found = {"losses": as_array(losses), "accuracies": as_array(accuracies)}
    return {**found, "log": log, "weights": built == [True]}


def _folder(*parts: str):
    from pathlib import Path

    path = Path(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


EXERCISE = Exercise(
    id="clinic-resnet18-folder",
    title=_("Clinic: ResNet18 on a folder of images"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=25,
    difficulty=3,
    points=5,
    statement=_(
        "A tutorial fine-tunes ResNet18 on photographs in `root/train`, says that it evaluates the result, and has "
        "**five** faults. Mend it: every picture reaches the network as a square of `image_size` pixels, on the scale "
        "that the ImageNet weights expect; each epoch reports the mean loss over all its training pictures and the "
        "accuracy on `root/val`; modes are right, and evaluation needs no gradient. Return the model, the losses and "
        "the accuracies, one per epoch. Optimiser, batches and shuffling stay."
    ),
    hints=(
        _("Follow one portrait and one landscape from the file to the network: which shape, which numbers?"),
        _("Which pictures, and which batch, is each of the two reported numbers measured on?"),
        _(
            "Resize to a square and normalise with ImageNet's mean and deviation in one place; `train()` at the start "
            "of each epoch, `eval()` before `root/val` is measured; add up the loss times the batch's size."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why is the last batch's loss a bad thing to report, beyond being noisy?"),
            _(
                "It is from the end of the epoch and from a few pictures, so two runs cannot be compared, and with a "
                "last batch of one or two pictures it is nearly arbitrary. The epoch's mean mixes old and new weights, "
                "but over all pictures. For curves, measure the held-out loss as well."
            ),
        ),
        FollowUp(
            _("What does it cost to evaluate on all held-out pictures after each epoch, and how is it made cheaper?"),
            _(
                "One forward pass per picture, about a third of a training step's time, and no stored activations. "
                "Cheaper: larger batches under no_grad, a fixed random subset, or every few epochs."
            ),
        ),
    ),
    criteria={
        "size": Criterion(_("gives the network squares of image_size pixels")),
        "scale": Criterion(_("gives the pretrained network pixels on the scale it knows")),
        "loss": Criterion(_("reports the mean loss over all training pictures of each epoch")),
        "validation": Criterion(_("reports the accuracy on root/val, and uses it for nothing else")),
        "modes": Criterion(_("trains in training mode, evaluates in inference mode without gradients")),
    },
    cases=cases,
    judge=judge,
    complexity=_(
        "Time: per epoch one forward and backward pass of each training picture and one forward pass of each held-out "
        "one. Memory: parameters, Adam's two moments of each, and the activations of one batch."
    ),
    variants={
        "pytorch": Variant(
            reference=code.REFERENCE,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"augmented": code.AUGMENTED, "collated": code.COLLATED},
            mistakes=code.mistakes(),
            equivalent={
                "correct += (model(inputs).argmax(dim=1) == labels).sum()": "a tensor of one number counts as well",
                "val_loader = make_loader(f'{root}/val', image_size, batch_size, True)": "order changes nothing",
            },
        ),
    },
)
