"""The clinic: one function that transfers any vision network."""

import numpy as np

from tl_course.exercises.clinic import _vision_transfer_code as code
from tl_course.exercises.clinic._torch_images import (
    Call,
    adam_step,
    draw_colours,
    fresh_gradients,
    read_calls,
    tiny_resnet,
)
from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

HEADS = {"ResNet": "fc", "DenseNet": "classifier", "VGG": "classifier.3", "Vision Transformer": "heads.head"}


def cases(rng: np.random.Generator) -> list[Case]:
    """Pictures of one colour each and of different sizes, and a network of each of four families."""
    found = []
    for family, head in HEADS.items():
        inputs = {
            "head": head,
            "colours": draw_colours(rng, 13),
            "sizes": rng.permuted(np.tile([[18, 25]], (13, 1)) + rng.integers(0, 6, (13, 2)), axis=1),
            "labels": rng.permutation(13) % 3,
            "lr": float(rng.uniform(0.002, 0.006)),
            "num_epochs": 2,
            "batch_size": 4,
            "image_size": 16,
            "held_out": 5,
        }
        found.append(Case(family, inputs, tuple(EXERCISE.criteria)))
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Recognise the pictures by their colours; look at both networks, and at what moved to the device when."""
    inputs = case.inputs
    calls = read_calls(observed["log"], inputs["colours"])
    train, test = [call for call in calls if call.grad], [call for call in calls if not call.grad]
    kept = _("the network that came in is no longer what it was")
    sizes = {tuple(call.size) for call in calls} == {(inputs["image_size"],) * 2}
    scales = bool(calls) and all(call.scale == "imagenet" for call in calls)
    return [
        holds("kept", observed["kept"] and observed["another"], kept),
        *_head(case, observed, train),
        *_device(case, observed, calls),
        holds("transform", sizes, _("not every picture reaches the network as a square of image_size pixels")),
        holds("transform", scales, _("the network saw pixels on another scale than its pretrained weights expect")),
        *_validation(case, observed, train, test),
    ]


def _head(case: Case, observed: dict[str, Plain], train: list[Call]) -> list[Finding]:
    outputs = {call.logits.shape[1] for call in train}
    text = _("the {family}'s logits have {outputs} columns").format(family=case.name, outputs=sorted(outputs))
    steps = fresh_gradients(observed["log"]) and np.isclose(adam_step(train), case.inputs["lr"], rtol=0.05)
    return [
        holds("head", outputs == {3}, text),
        holds("head", observed["same layers"], _("something else than the head's outputs differs from the original")),
        holds("head", observed["start"], _("training does not start from the pretrained weights")),
        holds("head", bool(steps), _("the steps are not those of Adam with lr, each on its own batch's gradient")),
    ]


def _device(case: Case, observed: dict[str, Plain], calls: list[Call]) -> list[Finding]:
    first = calls[0].at if calls else 0
    moves = [event for event in observed["log"][:first] if event["event"] == "to" and event["device"] == "cpu"]
    whole = any(event["outputs"] == 3 for event in moves)
    rows = {name: sum(event["rows"] for event in observed["moved"] if event["what"] == name) for name in ("x", "y")}
    seen, trained = (sum(len(call.images) for call in some) for some in (calls, [c for c in calls if c.grad]))
    return [
        holds("device", whole, _("the network, with its new head, is not moved to the device before its first batch")),
        holds("device", rows["x"] >= seen > 0, _("not all pictures are moved to the device")),
        holds("device", rows["y"] >= trained > 0, _("not all labels are moved to the device")),
    ]


def _validation(case: Case, observed: dict[str, Plain], train: list[Call], test: list[Call]) -> list[Finding]:
    inputs, epochs = case.inputs, case.inputs["num_epochs"]
    order = np.concatenate([call.images for call in train]) if train else np.zeros(0, dtype=int)
    measured = np.concatenate([call.images for call in test]) if test else np.zeros(0, dtype=int)
    kept = len(inputs["labels"]) - inputs["held_out"]
    whole = len(order) == epochs * kept and all(len(set(part.tolist())) == kept for part in order.reshape(epochs, -1))
    rounds = order.reshape(epochs, -1) if whole else np.zeros((2, 0))
    apart = not set(order.tolist()) & set(measured.tolist()) and len(set(measured.tolist())) == inputs["held_out"]
    modes = all(call.training for call in train) and not any(call.training for call in test)
    hits = [call.logits.argmax(axis=1) == inputs["labels"][call.images] for call in test]
    right = np.concatenate(hits).mean() if hits else np.nan
    batches = {len(call.images) for call in train} == {inputs["batch_size"]}
    return [
        holds("validation", apart, _("the accuracy is not measured on held_out images that are not trained on")),
        holds("validation", whole and batches, _("not every other image is trained on once in each epoch, in batches")),
        holds("validation", not np.array_equal(rounds[0], rounds[1]), _("every epoch comes in the same order")),
        holds("validation", modes, _("a batch was trained on, or measured, in the wrong mode")),
        close("validation", observed["accuracy"], right, _("the accuracy")),
    ]


def probe_pytorch(candidate, inputs):
    """Transfer a network; note what it is shown, what moves to the device, and what becomes of the original."""
    import torch
    from PIL import Image
    from torch.overrides import TorchFunctionMode

    pairs = zip(inputs["colours"].tolist(), inputs["sizes"].tolist(), strict=True)
    images = [Image.new("RGB", tuple(size), tuple(colour)) for colour, size in pairs]
    log: list[dict[str, Plain]] = []
    moved: list[dict[str, Plain]] = []
    side = inputs["image_size"]

    class Moves(TorchFunctionMode):
        """Notes the batches that are moved to a device."""

        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.to and isinstance(args[0], torch.Tensor):
                shape, count = tuple(args[0].shape), args[0].numel()
                if shape[1:] == (3, side, side):
                    moved.append({"what": "x", "rows": len(args[0])})
                elif args[0].dtype == torch.int64 and len(shape) == 1:
                    moved.append({"what": "y", "rows": count})
            return func(*args, **(kwargs or {}))

    pretrained = tiny_resnet(log.append, inputs["head"], classes=20).eval()
    before = {name: value.clone() for name, value in pretrained.state_dict().items()}
    stem = float(pretrained.conv1.weight.detach().sum())
    settings = {name: inputs[name] for name in ("num_epochs", "lr", "batch_size", "image_size", "held_out")}
    rows = list(zip(images, inputs["labels"].tolist(), strict=True))
    with Moves():
        model, accuracy = candidate(pretrained, rows, num_classes=3, device="cpu", **settings)
    after = pretrained.state_dict()
    same = after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    modes = not any(module.training for module in pretrained.modules())
    trainable = all(value.requires_grad for value in pretrained.parameters())
    layers = {name: list(value.shape)[::-1] for name, value in model.state_dict().items()}
    own = {name: list(value.shape)[::-1] for name, value in before.items()}
    layers |= {name: own.get(name, []) for name in layers if f"{inputs['head']}." in name}
    stems = [event["stem"] for event in log if event["event"] == "call"]
    return {
        "kept": same and modes and trainable,
        "another": model is not pretrained,
        "same layers": layers == own,
        "start": bool(stems) and bool(np.isclose(stems[0], stem, atol=1e-5)),
        "accuracy": as_array(accuracy),
        "log": log,
        "moved": moved,
    }


EXERCISE = Exercise(
    id="clinic-vision-transfer",
    title=_("Clinic: one function for every vision network"),
    lesson="11_interview_clinic",
    kind="find-the-fault",
    minutes=30,
    difficulty=4,
    points=5,
    statement=_(
        "A tutorial promises one function that transfers any pretrained vision network, and has **five** faults. Mend "
        "it: the network handed in stays as it was; in a copy only the last linear layer is replaced, wherever its "
        "family keeps it (ResNet, DenseNet, VGG, Vision Transformer); network, images and labels are on `device`; "
        "`target_dataset` gives (PIL image, label) with images of different sizes, each prepared for itself; "
        "`held_out` images, drawn or not, are not trained on, and the accuracy is theirs. Return the new network and "
        "the accuracy. Adam, batches and shuffling stay."
    ),
    hints=(
        _("Call it with three families, and twice with the same network. What does the second call receive?"),
        _("Where does a list of PIL images become one tensor, and what has to be done to each before that?"),
        _(
            "Deep-copy; find the last `nn.Linear` among `named_modules()` and set it on its parent; move the whole "
            "network; prepare images in the data set or in `collate_fn`; split before making the loaders."
        ),
    ),
    follow_ups=(
        FollowUp(
            _("Why must the optimiser be made after the network has moved and has its new head?"),
            _(
                "It holds references to the parameters it was given. A head that is made later is in none of its "
                "groups and never learns. Moving a module keeps its parameters' identity in most cases, but state "
                "made before, such as momentum, would stay on the other device."
            ),
        ),
        FollowUp(
            _("A random transform is applied to a whole batch tensor instead of to each image. What is lost?"),
            _(
                "torchvision's random transforms draw once per call, so all images of the batch are flipped or cropped "
                "alike. It is faster, and on a GPU often worthwhile, but the augmentation is weaker."
            ),
        ),
    ),
    criteria={
        "kept": Criterion(_("leaves the network that was handed in as it was")),
        "head": Criterion(_("gives networks of any family a new head, and trains them from the pretrained weights")),
        "device": Criterion(_("has network, images and labels on the device")),
        "transform": Criterion(_("prepares each image for itself")),
        "validation": Criterion(_("measures the accuracy on images that were not trained on, in inference mode")),
    },
    cases=cases,
    judge=judge,
    complexity=_(
        "Time: num_epochs forward and backward passes of each image kept for training, and one forward pass of each "
        "held out. Memory: two networks, the original and the copy, Adam's two moments, activations of one batch."
    ),
    variants={
        "pytorch": Variant(
            reference=code.REFERENCE,
            probe=probe_pytorch,
            starter=code.STARTER,
            alternatives={"wrapped": code.WRAPPED, "by name": code.BY_NAME},
            mistakes=code.mistakes(),
            equivalent={
                "name, head = [(name, layer) for name, layer in model.named_modules() if layer][-1]": (
                    "in all four families the head is the last module"
                ),
                "correct += (model(inputs).argmax(dim=1) == labels).sum()": "a tensor of one number counts as well",
            },
        ),
    },
)
