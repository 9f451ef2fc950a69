"""Find the fault: after fine-tuning, the pruned network is dense again."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.exercises.fine_tuning._two_layers import Momentum, draw_batch, draw_weights, torch_model
from tl_course.exercises.making_it_small import _mask_code as code
from tl_course.i18n import _

NAMES = {
    "hidden_kernel": "backbone.0.weight",
    "hidden_bias": "backbone.0.bias",
    "head_kernel": "head.weight",
    "head_bias": "head.bias",
}


def cases(rng: np.random.Generator) -> list[Case]:
    """Both layers pruned, one of them, and none."""

    def drawn(*pruned: str) -> dict[str, Plain]:
        weights, masks = draw_weights(rng), {}
        for name in pruned:
            masks[name] = rng.permuted(np.arange(weights[name].size) % 2 == 0).reshape(weights[name].shape)
        return {
            "weights": weights,
            "masks": masks,
            "batches": [draw_batch(rng, 7) for _batch in range(5)],
            "lr": float(rng.uniform(0.1, 0.3)),
            "momentum": float(rng.uniform(0.6, 0.9)),
        }

    return [
        Case("both layers", drawn("hidden_kernel", "head_kernel"), ("pruned", "learned", "forward")),
        Case("the head", drawn("head_kernel"), ("pruned", "learned")),
        Case("no mask", drawn(), ("free",)),
    ]


def expected(inputs: dict[str, Plain]) -> dict[str, np.ndarray]:
    """Training calculated step by step, each step followed by the projection on the unpruned weights."""
    training = Momentum(inputs["weights"], inputs["momentum"])
    for batch in [None, *inputs["batches"]]:
        if batch is not None:
            training.step(batch, inputs["lr"], NAMES)
        for name, mask in inputs["masks"].items():
            training.weights[name] = np.where(mask, training.weights[name], 0.0)
    return training.weights


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Look at pruned weights, and compare the others with training calculated step by step."""
    right, after, masks = expected(case.inputs), observed["weights"], case.inputs["masks"]
    text = _("{name} in case '{case}'")
    if case.name == "no mask":
        return [close("free", after[name], right[name], text.format(name=name, case=case.name)) for name in right]
    back = sum(int(np.count_nonzero(after[name][~mask])) for name, mask in masks.items())
    count = sum(int((~mask).sum()) for mask in masks.values())
    message = _("in case '{case}', {back} of {count} pruned weights are not zero after training")
    found = [holds("pruned", back == 0, message.format(case=case.name, back=back, count=count))]
    for name in right:
        stays = masks.get(name, np.array(True))
        what = text.format(name=name, case=case.name)
        found.append(close("learned", np.where(stays, after[name], 0.0), right[name], what))
    if "forward" in case.criteria:
        passes = _("{bad} of {count} forward passes ran with pruned weights that are not zero")
        bad, passed = observed["bad passes"], observed["passes"]
        found.append(holds("forward", bad == 0 and passed > 0, passes.format(bad=bad, count=passed)))
    return found


def probe(candidate, inputs):
    """Train; look at the weights at the end, and at the pruned ones in each forward pass."""
    import torch

    model = torch_model(inputs["weights"])
    masks = {NAMES[name]: torch.tensor(mask.T.copy()) for name, mask in inputs["masks"].items()}
    dense: list[bool] = []

    def look(module, args) -> None:
        layers = {"backbone.0.weight": module.backbone[0], "head.weight": module.head}
        dense.append(any(bool(layers[name].weight[~mask].any()) for name, mask in masks.items()))

    handle = model.register_forward_pre_hook(look)
    batches = [(torch.tensor(batch["x"]), torch.tensor(batch["y"])) for batch in inputs["batches"]]
    given = {name: mask.clone() for name, mask in masks.items()}
    if candidate(model, given, batches, inputs["lr"], inputs["momentum"]) is not model:
        raise NotPlain(_("the model itself was expected back"))
    handle.remove()
    state = model.state_dict()
    if set(state) != set(NAMES.values()):
        raise NotPlain(_("the model's parameters have other names than before: {names}").format(names=", ".join(state)))
    weights = {ours: as_array(state[theirs]).T for ours, theirs in NAMES.items()}
    return {"weights": weights, "passes": len(dense), "bad passes": sum(dense)}


EXERCISE = Exercise(
    id="mask-forgotten",
    title=_("The pruned network that grew back"),
    lesson="10_small_and_shipped",
    kind="find-the-fault",
    minutes=12,
    difficulty=3,
    points=5,
    statement=_(
        "A team sets half of the weights to zero and fine-tunes the rest; accuracy recovers wonderfully. The file, "
        "compressed, is as large as before: hardly any weight is zero. Find the fault in `finetune_pruned`, fix it, "
        "and prove it: the weights for which a mask says False are exactly zero in each forward pass and at the end; "
        "all others train with SGD and momentum, one step a batch. The model keeps its parameters' names; return it."
    ),
    hints=(
        _("Count the zeros after pruning, after the first step, and after the second. When do they vanish?"),
        _("What is the gradient of the loss with respect to a weight that happens to be zero?"),
        _("Put the zeros back after every step, or see to it that neither gradient nor momentum ever moves them."),
    ),
    follow_ups=(
        FollowUp(
            _("Why is it not enough to mask the gradients when pruning happens in the middle of training?"),
            _(
                "The optimiser remembers: momentum moves the weight on without any gradient, and weight decay or "
                "Adam's averages do so too. Clear its state for pruned weights, or put the zeros back after each step."
            ),
        ),
        FollowUp(
            _("How would you have noticed this before release?"),
            _(
                "By an assertion on the thing that was promised: count the zeros of the model that is shipped, in the "
                "export script, and compare it with the masks; accuracy alone looks better the more comes back."
            ),
        ),
    ),
    criteria={
        "pruned": Criterion(_("pruned weights are zero at the end"), weight=2, needs=("learned",)),
        "learned": Criterion(_("the other weights train as they should"), weight=2),
        "forward": Criterion(_("pruned weights are zero in each forward pass"), needs=("learned",)),
        "free": Criterion(_("without a mask, everything is trained")),
    },
    cases=cases,
    judge=judge,
    variants={
        "pytorch": Variant(
            reference=code.PYTORCH,
            probe=probe,
            starter=code.STARTER,
            alternatives={"hooks": code.PYTORCH_HOOKS, "library": code.PYTORCH_LIBRARY},
            mistakes=code.mistakes(),
        ),
    },
    complexity=_(
        "A forward and backward pass a batch dominates; the repair adds O(P) for P masked weights, whose masks take a "
        "byte each. Zeros are multiplied like any number: the file shrinks, a dense layer is no faster."
    ),
)
