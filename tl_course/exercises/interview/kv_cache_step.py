"""One decoding step of causal attention with a cache of keys and values."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
import numpy as np


def decode_step(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, cache: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """One step of causal multi-head attention for the newest token, whose projections are given.

    Args:
        query: of the newest token, float, shape (B, H, d) for B sequences and H heads; not modified.
        key: of the newest token, shape (B, H, d); not modified.
        value: of the newest token, shape (B, H, d); not modified.
        cache: keys and values of the T tokens before it, oldest first, each of shape (B, H, T, d); T may be 0. Not
            modified: another continuation may start from the same cache.

    Returns:
        The attention output of the newest token, shape (B, H, d): scaled dot-product attention, head by head, over all
        T + 1 tokens, itself included; scores of several hundred do not overflow. And the new cache: keys and values,
        each of shape (B, H, T + 1, d), oldest first.
    """
    keys = np.concatenate([cache[0], key[:, :, None]], axis=2)  # (B, H, T + 1, d)
    values = np.concatenate([cache[1], value[:, :, None]], axis=2)
    scores = np.einsum("bhd,bhtd->bht", query, keys) / np.sqrt(query.shape[2])
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights = weights / weights.sum(axis=2, keepdims=True)
    return np.einsum("bht,bhtd->bhd", weights, values), (keys, values)
'''

MATMUL = """
import numpy as np


def decode_step(query, key, value, cache):
    keys, values = (np.append(old, new[..., None, :], axis=-2) for old, new in zip(cache, (key, value)))
    scores = query[..., None, :] @ keys.swapaxes(-1, -2) * query.shape[-1] ** -0.5
    log_total = np.logaddexp.reduce(scores, axis=-1, keepdims=True)
    return (np.exp(scores - log_total) @ values)[..., 0, :], (keys, values)
"""

LOOP = """
import numpy as np


def decode_step(query, key, value, cache):
    batch, heads, past, width = cache[0].shape
    keys = np.empty((batch, heads, past + 1, width), query.dtype)
    values = np.empty_like(keys)
    out = np.zeros_like(query)
    for b in range(batch):
        for h in range(heads):
            keys[b, h, :past], keys[b, h, past] = cache[0][b, h], key[b, h]
            values[b, h, :past], values[b, h, past] = cache[1][b, h], value[b, h]
            scores = keys[b, h].dot(query[b, h]) / width**0.5
            parts = np.exp(scores - max(scores))
            out[b, h] = parts.dot(values[b, h]) / sum(parts)
    return out, (keys, values)
"""

KEYS = "np.concatenate([cache[0], key[:, :, None]], axis=2)"
VALUES = "np.concatenate([cache[1], value[:, :, None]], axis=2)"
SHIFTED, RETURN = "scores - scores.max(axis=2, keepdims=True)", "(keys, values)\n"
MISTAKES = {
    "not-itself": Mistake(
        _("the newest token does not attend to itself: its own key and value belong to the step as well"),
        (
            (
                "return np.einsum",
                "weights = weights * (np.arange(keys.shape[2]) < max(keys.shape[2] - 1, 1))\n    return np.einsum",
            ),
        ),
    ),
    "only-itself": Mistake(
        _("the newest token attends to itself only: the cache is kept and never used"),
        (
            (
                "return np.einsum",
                "weights = 0 * weights + (np.arange(keys.shape[2]) == len(keys[0, 0]) - 1)\n    return np.einsum",
            ),
        ),
    ),
    "cache-not-returned": Mistake(
        _("the cache that comes back lacks the newest token: the next step will not know of it"),
        ((f", {RETURN}", ", cache\n"),),
    ),
    "newest-first": Mistake(
        _("the newest token is put in front of the cache: the order of the tokens is turned round"),
        (
            (KEYS, "np.concatenate([key[:, :, None], cache[0]], axis=2)"),
            (VALUES, "np.concatenate([value[:, :, None], cache[1]], axis=2)"),
        ),
    ),
    "not-scaled": Mistake(
        _("the scores are not divided by the root of the head's width: attention becomes too sharp"),
        ((" / np.sqrt(query.shape[2])", ""),),
    ),
    "scaled-by-model-width": Mistake(
        _("the scale is that of all the heads together; each head has a width of its own"),
        (("np.sqrt(query.shape[2])", "np.sqrt(query.shape[1] * query.shape[2])"),),
    ),
    "overflow": Mistake(_("large scores overflow in the exponential"), ((SHIFTED, "scores"),)),
    "softmax-over-heads": Mistake(
        _("the weights sum to 1 over the heads; they should do so over the tokens of each head"),
        (
            ("weights.sum(axis=2, keepdims=True)", "weights.sum(axis=1, keepdims=True)"),
            (SHIFTED, "scores - scores.max(axis=1, keepdims=True)"),
        ),
    ),
    "heads-averaged": Mistake(
        _("all heads share one pattern of attention; each head has its own"),
        (
            (
                "    weights = np.exp",
                "    scores = np.broadcast_to(scores.mean(axis=1, keepdims=True), scores.shape)\n    weights = np.exp",
            ),
        ),
    ),
    "attends-with-values": Mistake(
        _("keys and values have changed places"),
        (("query, keys) /", "query, values) /"), ("weights, values)", "weights, keys)")),
    ),
    "overwrites-cache": Mistake(
        _("the cache that was given is written into: a second continuation from it goes wrong"),
        ((KEYS, f"{KEYS}\n    cache[0][:] = key[:, :, None]"),),
    ),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """A sequence token by token, one whose scores are large, and two continuations of one beginning."""

    def case(name: str, steps: int, shape: tuple[int, ...], scale: float, *criteria: str) -> Case:
        arrays = {part: rng.normal(size=(steps, *shape)).astype(np.float32) for part in ("query", "key", "value")}
        arrays["query"] *= scale
        return Case(name, arrays, criteria)

    return [
        case("token by token", 5, (2, 3, 4), 2.0, "output", "cache", "branch"),
        case("one sequence, one head", 4, (1, 1, 6), 2.0, "output", "cache"),
        case("large scores", 4, (2, 2, 5), 500.0, "stable"),
    ]


def expected(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Causal attention of whole sequences at once, (T, B, H, d): all scores, and those of later tokens masked."""
    query, key, value = (part.astype(np.float64) for part in (query, key, value))
    scores = np.einsum("qbhd,kbhd->bhqk", query, key) / query.shape[-1] ** 0.5
    scores = np.where(np.tri(len(query), dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.einsum("bhqk,kbhd->qbhd", weights / weights.sum(axis=-1, keepdims=True), value)


def branch(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The first tokens, continued with the first token once more."""
    return {part: np.concatenate([tokens[:BRANCH], tokens[:1]]) for part, tokens in inputs.items()}


BRANCH = 3  # tokens before the second continuation


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with attention over the whole sequence at once."""
    name, right = case.criteria[0], expected(**case.inputs)
    what = _("the outputs, {case}, (step, B, H, d)").format(case=case.name)
    found = [close(name, observed["outputs"], right, what, rtol=1e-3, atol=1e-4)]
    if "cache" in case.criteria:
        for part in ("key", "value"):
            wanted = np.moveaxis(case.inputs[part], 0, 2)
            found.append(close("cache", observed[part], wanted, _("the {part}s in the last cache").format(part=part)))
    if "branch" in case.criteria:
        what = _("the output of a second continuation from an earlier cache")
        found.append(
            close("branch", observed["branch"], expected(**branch(case.inputs))[-1], what, rtol=1e-3, atol=1e-4)
        )
        found.append(holds("branch", observed["kept"], _("a cache or an array that you were given was changed")))
    return found


def probe(candidate, inputs):
    """The outputs of all steps, the last cache, and another continuation of an earlier cache."""
    parts, (_steps, batch, heads, width) = [inputs[name] for name in ("query", "key", "value")], inputs["key"].shape
    given = [part.copy() for part in parts]
    caches = [(np.zeros((batch, heads, 0, width), np.float32), np.zeros((batch, heads, 0, width), np.float32))]
    copies, outputs = [], []
    with np.errstate(all="ignore"):
        for query, key, value in zip(*parts, strict=True):
            copies.append([np.array(part) for part in caches[-1]])
            output, (keys, values) = candidate(query, key, value, caches[-1])
            outputs.append(as_array(output))
            caches.append((keys, values))
        other, _cache = candidate(*(part[0] for part in parts), caches[BRANCH])
    pairs = [*zip(parts, given, strict=True)]
    pairs += [pair for cache, copy in zip(caches, copies, strict=False) for pair in zip(cache, copy, strict=True)]
    kept = all(np.array_equal(*pair) for pair in pairs)
    last = {"key": as_array(caches[-1][0]), "value": as_array(caches[-1][1])}
    return {"outputs": as_array(outputs), **last, "branch": as_array(other), "kept": kept}


EXERCISE = Exercise(
    id="kv-cache-step",
    title=_("One token more: attention with a cache"),
    lesson="11_interview_clinic",
    minutes=15,
    difficulty=3,
    points=4,
    statement=_(
        "A decoder writes one token after another. Write `decode_step(query, key, value, cache)`: from the newest "
        "token's projections, each (B, H, d), and the cached keys and values of the T tokens before it, each "
        "(B, H, T, d), the attention output (B, H, d) and the new cache, a pair. Step by step from an empty cache, the "
        "outputs equal causal attention over the whole sequence. Large scores must not overflow; the cache given is "
        "not changed."
    ),
    hints=(
        _("What does the newest token attend to, and why does no earlier output change when it arrives?"),
        _("Append its key and value to the cache along the token axis before you compute the scores."),
        _("Scores (B, H, T + 1) are scaled by the root of d; softmax over the last axis; no mask is needed."),
    ),
    follow_ups=(
        FollowUp(
            _("Why does a single step need no causal mask, and when does one come back?"),
            _(
                "The cache holds only tokens before the newest, so there is nothing in the future to hide. A mask is "
                "needed when several tokens are processed at once: reading the prompt, checking drafted tokens, or "
                "sequences of unequal length padded to one batch."
            ),
        ),
        FollowUp(
            _("How large is the cache of a model with 32 layers, 32 heads of 128, at 8,192 tokens in float16?"),
            _(
                "2 · 32 layers · 32 heads · 128 · 8,192 tokens · 2 bytes = 4 GiB for each sequence. Sharing keys and "
                "values among heads divides it: 8 groups give 1 GiB, a single one 128 MiB. Quantising the cache or a "
                "sliding window helps too."
            ),
        ),
        FollowUp(
            _("Concatenating copies the cache at each step. What do you do in production?"),
            _(
                "Allocate it once for the longest sequence and write at the current position, or in blocks with a "
                "table that maps positions to blocks (Kwon et al., 2023): no copies, little waste, and beams share "
                "their common beginning until one writes."
            ),
        ),
    ),
    complexity=_(
        "O(B·H·T·d) time a step, so O(T²) for T tokens instead of O(T³) without a cache. O(B·H·T·d) memory for the "
        "cache, copied once a step here."
    ),
    criteria={
        "output": Criterion(_("equals causal attention over the whole sequence"), weight=2),
        "cache": Criterion(_("returns keys and values of all tokens, oldest first")),
        "branch": Criterion(_("leaves the cache usable for another continuation"), needs=("output",)),
        "stable": Criterion(_("does not overflow for large scores")),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            alternatives={"matmul": MATMUL, "loop": LOOP},
            mistakes=MISTAKES,
        ),
    },
)
