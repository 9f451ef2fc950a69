"""Corrupt a text for masked language modelling, as BERT does."""

import numpy as np

from tl_course.exercises.engine.compare import holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import NotPlain, as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def corrupt(
    ids: np.ndarray, special_ids: list[int], mask_id: int, vocab_size: int, rate: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Hide tokens for masked language modelling (Devlin et al., 2019).

    Args:
        ids: token ids, integer, shape (N, L); not modified.
        special_ids: ids that are never chosen: padding, [CLS], [SEP], [MASK].
        mask_id: the id of [MASK].
        vocab_size: ids run from 0 to vocab_size - 1.
        rate: chance of each ordinary token to be chosen.
        rng: where chance comes from.

    Returns:
        The inputs, in which a chosen token becomes [MASK] with chance 0.8, any token of the vocabulary with chance 0.1,
        and stays as it is otherwise; and the labels, the original id where a token was chosen and -100 elsewhere. Both
        have shape (N, L).
    """
    chosen = (rng.random(ids.shape) < rate) & ~np.isin(ids, special_ids)
    fate = rng.random(ids.shape)
    inputs = np.where(chosen & (fate < 0.8), mask_id, ids)
    anything = rng.integers(vocab_size, size=ids.shape)
    inputs = np.where(chosen & (fate >= 0.8) & (fate < 0.9), anything, inputs)
    return inputs, np.where(chosen, ids, -100)
'''

NUMPY_INDICES = """
import numpy as np


def corrupt(ids, special_ids, mask_id, vocab_size, rate, rng):
    inputs, labels = ids.flatten(), np.full(ids.size, -100)
    places = np.array([place for place, token in enumerate(inputs) if token not in special_ids])
    places = places[rng.random(len(places)) < rate]
    labels[places] = inputs[places]
    what = rng.choice(3, size=len(places), p=[0.8, 0.1, 0.1])
    inputs[places[what == 0]] = mask_id
    inputs[places[what == 1]] = rng.integers(vocab_size, size=(what == 1).sum())
    return inputs.reshape(ids.shape), labels.reshape(ids.shape)
"""

NUMPY_LOOP = """
import numpy as np


def corrupt(ids, special_ids, mask_id, vocab_size, rate, rng):
    special = set(special_ids)
    inputs, labels = ids.copy(), np.full_like(ids, -100)
    for place, token in np.ndenumerate(ids):
        if int(token) in special or rng.uniform() >= rate:
            continue
        labels[place] = token
        dice = rng.integers(10)
        if dice < 8:
            inputs[place] = mask_id
        elif dice == 8:
            inputs[place] = rng.integers(vocab_size)
    return inputs, labels
"""

MESSAGES = {
    "specials-chosen": _("special tokens are hidden too; there is nothing to learn from guessing padding or [CLS]"),
    "always-mask": _(
        "every chosen token becomes [MASK], so the model learns nothing about the ordinary ones it later gets"
    ),
    "no-kept": _("no chosen token stays as it is, so the model learns never to believe what it reads"),
    "no-random": _(
        "no chosen token is replaced by a random one, so the model learns to believe all that is not [MASK]"
    ),
    "labels-everywhere": _("the labels hold every token; where nothing was chosen they should say: do not count this"),
    "labels-of-masked": _(
        "a chosen token that does not become [MASK] loses its label; all the chosen ones are predicted"
    ),
    "labels-corrupted": _("the labels hold the corrupted tokens instead of the original ones"),
    "labels-inverted": _("the labels are set where nothing was chosen"),
    "fixed-rate": _("the rate has no effect"),
    "one-token": _("all tokens to be replaced at random get the same one"),
    "own-chance": _("part of the chance does not come from `rng`, so a run cannot be repeated"),
    "fixed-seed": _("chance starts from the same seed in every call, so every epoch hides the same tokens"),
    "in-place": _("the caller's own array is changed, so the next epoch starts from a corrupted text"),
}
MASKED, RANDOM, LABELS = "chosen & (fate < 0.8)", "chosen & (fate >= 0.8) & (fate < 0.9)", "np.where(chosen, ids, -100)"
EDITS = {
    "specials-chosen": ((" & ~np.isin(ids, special_ids)", ""),),
    "always-mask": ((MASKED, "chosen"), (RANDOM, "chosen & (fate > 1)")),
    "no-kept": ((" & (fate < 0.9)", ""),),
    "no-random": ((RANDOM, "chosen & (fate > 1)"),),
    "labels-everywhere": ((LABELS, "ids"),),
    "labels-of-masked": ((LABELS, "np.where(inputs == mask_id, ids, -100)"),),
    "labels-corrupted": ((LABELS, "np.where(chosen, inputs, -100)"),),
    "labels-inverted": ((LABELS, "np.where(chosen, -100, ids)"),),
    "fixed-rate": (("< rate)", "< 0.15)"),),
    "one-token": (("rng.integers(vocab_size, size=ids.shape)", "rng.integers(vocab_size)"),),
    "own-chance": (("fate = rng.random(ids.shape)", "fate = np.random.random(ids.shape)"),),
    "fixed-seed": (("    chosen = (rng", "    rng = np.random.default_rng(0)\n    chosen = (rng"),),
    "in-place": ((f"return inputs, {LABELS}", f"labels = {LABELS}\n    ids[:] = inputs\n    return inputs, labels"),),
}

SHARE = 0.05  # how far a measured share may be from its chance: more than five standard deviations here


def cases(rng: np.random.Generator) -> list[Case]:
    """Two rates, on texts with special tokens at random places among the vocabulary's ids."""
    found = []
    for name, rate in (("a usual rate", 0.15), ("a high rate", float(rng.uniform(0.4, 0.6)))):
        vocab_size = int(rng.integers(2000, 3000))
        special = rng.choice(vocab_size, size=4, replace=False)
        ids = rng.integers(0, vocab_size, size=(90, 130))
        framed = rng.random(ids.shape) < 0.2
        ids[framed] = rng.choice(special, size=int(framed.sum()))
        inputs = {"ids": ids, "special_ids": special.tolist(), "mask_id": int(special[3]), "vocab_size": vocab_size}
        criteria = ("chosen", "labels", "fates", "chance", "untouched") if rate == 0.15 else ("rate",)
        found.append(Case(name, {**inputs, "rate": rate, "seed": int(rng.integers(10**6))}, criteria))
    return found


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Look at what was chosen, at the labels, and at what became of the chosen tokens."""
    ids, inputs, labels = case.inputs["ids"], observed["inputs"], observed["labels"]
    vocab_size = case.inputs["vocab_size"]
    problem = _not_ids(_("the inputs"), inputs, ids, vocab_size) or _not_ids(_("the labels"), labels, ids, vocab_size)
    if problem:
        return [holds(name, False, problem) for name in case.criteria]
    special, chosen = np.isin(ids, case.inputs["special_ids"]), labels != -100
    share, rate = float(chosen[~special].mean()), case.inputs["rate"]
    text = _("{share:.1%} of the ordinary tokens have a label; the rate asked for {rate:.1%}")
    of_rate = holds(case.criteria[0], abs(share - rate) < SHARE / 2, text.format(share=share, rate=rate))
    if case.name != "a usual rate":
        return [of_rate]
    text = _("{count} special tokens have a label or were changed")
    touched = int((special & (chosen | (inputs != ids))).sum())
    changed = _("{count} tokens without a label were changed").format(count=int(((inputs != ids) & ~chosen).sum()))
    other = _("a label should be the original token; {count} of yours are not").format(
        count=int((labels != ids)[chosen].sum())
    )
    afterwards = _("the array you were given was changed")
    return [
        of_rate,
        holds("chosen", touched == 0, text.format(count=touched)),
        holds("labels", np.array_equal(labels[chosen], ids[chosen]), other),
        holds("labels", np.array_equal(inputs[~chosen], ids[~chosen]), changed),
        *_fates(inputs[chosen], ids[chosen], case.inputs["mask_id"]),
        holds("chance", observed["again"], _("called again with the same state of `rng`, yours gave something else")),
        holds("chance", observed["varies"], _("called with another state of `rng`, yours gave the same")),
        holds("untouched", np.array_equal(observed["ids afterwards"], ids), afterwards),
    ]


def _not_ids(what: str, given: np.ndarray, ids: np.ndarray, vocab_size: int) -> str:
    if given.shape != ids.shape or given.dtype.kind not in "iu":
        text = _("{what}: whole numbers of shape {right} were expected, yours have shape {shape} and dtype {dtype}")
        return text.format(what=what, right=ids.shape, shape=given.shape, dtype=given.dtype)
    outside = given[((given < 0) & (given != -100)) | (given >= vocab_size)]
    return _("{what}: {value} is no token id").format(what=what, value=outside[0]) if outside.size else ""


def _fates(now: np.ndarray, before: np.ndarray, mask_id: int) -> list[Finding]:
    """Shares of the chosen tokens, and whether the random ones are spread over the vocabulary."""
    masked, kept = now == mask_id, now == before
    replaced = now[~masked & ~kept]
    names = (_("became [MASK]"), _("stayed as they were"), _("became another token"))
    found = []
    for name, part, right in zip(names, (masked, kept, ~masked & ~kept), (0.8, 0.1, 0.1), strict=True):
        share = float(part.mean()) if part.size else 0.0
        text = _("{share:.0%} of the chosen tokens {name}; about {right:.0%} should")
        found.append(holds("fates", abs(share - right) < SHARE, text.format(share=share, name=name, right=right)))
    text = _("the random tokens come from a small part of the vocabulary: {kinds} different ones in {count} places")
    kinds = len(set(replaced.tolist()))
    found.append(holds("fates", kinds > 0.5 * len(replaced), text.format(kinds=kinds, count=len(replaced))))
    return found


def probe_numpy(candidate, inputs):
    """Corrupt a batch, again with the same state of the generator, and with another."""

    def corrupt(ids: np.ndarray, seed: int) -> list[np.ndarray]:
        special, mask_id, rng = inputs["special_ids"], inputs["mask_id"], np.random.default_rng(seed)
        result = candidate(ids, list(special), mask_id, inputs["vocab_size"], inputs["rate"], rng)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise NotPlain(_("a pair (inputs, labels) was expected"))
        return [as_array(part) for part in result]

    ids, seed = inputs["ids"].copy(), inputs["seed"]
    first, again, other = (
        corrupt(ids, seed),
        corrupt(inputs["ids"].copy(), seed),
        corrupt(inputs["ids"].copy(), seed + 1),
    )
    same, constant = (all(np.array_equal(a, b) for a, b in zip(first, x, strict=True)) for x in (again, other))
    return {"inputs": first[0], "labels": first[1], "ids afterwards": ids, "again": same, "varies": not constant}


EXERCISE = Exercise(
    id="mask-tokens",
    title=_("Hide a token, keep its label"),
    lesson="02_pretraining",
    minutes=12,
    difficulty=3,
    points=4,
    statement=_(
        "Write `corrupt(ids, special_ids, mask_id, vocab_size, rate, rng)`, BERT's way to make a task from plain text. "
        "Choose each ordinary token with chance `rate`, special ones never. Of the chosen ones 80 % become `mask_id`, "
        "10 % a random token of the vocabulary, 10 % stay. Return inputs and labels: the original id where a token was "
        "chosen, whatever became of it, and -100 elsewhere. Draw all chance from `rng`; leave `ids` as it is."
    ),
    hints=(
        _("Three boolean arrays: chosen, of these masked, of these replaced. Labels depend on the first one only."),
        _("Draw one uniform number per token to choose it, and another one for what becomes of it."),
        _("Below 0.8 it becomes [MASK]; from 0.8 to 0.9 a token from `rng.integers`; above, nothing happens."),
    ),
    follow_ups=(
        FollowUp(
            _("Why does a tenth of the chosen tokens stay as it is?"),
            _(
                "In fine-tuning there is no [MASK]. A model that is only asked about [MASK] may leave ordinary tokens "
                "unencoded. Some chosen tokens stay or change, so it must keep a good guess for every position."
            ),
        ),
        FollowUp(
            _("RoBERTa masks anew in every epoch; BERT masked once, in preprocessing. What does that change?"),
            _(
                "Masked once, an epoch repeats the same questions, so the model can memorise the answers. Masked anew, "
                "the same text asks other questions each time, which matters more the longer you train."
            ),
        ),
    ),
    criteria={
        "chosen": Criterion(_("ordinary tokens are chosen at the rate, special ones never")),
        "labels": Criterion(_("labels and inputs agree about what was chosen"), needs=("chosen",)),
        "fates": Criterion(_("80 % become [MASK], 10 % another token, 10 % stay"), needs=("chosen",)),
        "chance": Criterion(_("all chance comes from `rng`"), weight=0.5, needs=("chosen",)),
        "rate": Criterion(_("another rate chooses another share")),
        "untouched": Criterion(_("the array passed in stays as it was"), weight=0.5, needs=("labels",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe_numpy,
            alternatives={"indices": NUMPY_INDICES, "loop": NUMPY_LOOP},
            mistakes={name: Mistake(MESSAGES[name], edit) for name, edit in EDITS.items()},
            equivalent=dict.fromkeys(
                (
                    "chosen = (rng.random(ids.shape) <= rate) & ~np.isin(ids, special_ids)",
                    "inputs = np.where(chosen & (fate <= 0.8), mask_id, ids)",
                    "inputs = np.where(chosen & (fate >= 0.8) & (fate <= 0.9), anything, inputs)",
                    "inputs = np.where(chosen & (fate > 0.8) & (fate < 0.9), anything, inputs)",
                ),
                "a random number is hardly ever equal to its bound",
            ),
        ),
    },
    complexity=_(
        "O(N·L) time and memory for a few special ids. Chance is drawn three times for every token, chosen or not: "
        "more draws than needed, but no loop over tokens."
    ),
)
