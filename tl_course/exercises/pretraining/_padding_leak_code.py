"""The code of the exercise on attention that sees padding: references, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake, Probe, Variant
from tl_course.i18n import _

DOCSTRING = '''    """One head of self-attention over a padded batch; padding changes nothing for the tokens.

    Args:
        hidden: token vectors, float, shape (N, L, D).
        attention_mask: 1 for a token, 0 for padding, integer, shape (N, L); every text has a token.
        to_query: projection to queries, float, shape (D, E).
        to_key: projection to keys, float, shape (D, E).
        to_value: projection to values, float, shape (D, F).

    Returns:
        One vector per position, shape (N, L, F); those at padding positions are never used.
    """
'''

PYTORCH = (
    """
import torch


def one_head(
    hidden: torch.Tensor,
    attention_mask: torch.Tensor,
    to_query: torch.Tensor,
    to_key: torch.Tensor,
    to_value: torch.Tensor,
) -> torch.Tensor:
"""
    + DOCSTRING
    + """    queries, keys = hidden @ to_query, hidden @ to_key  # (N, L, E)
    similarity = torch.einsum("nqe,nke->nqk", queries, keys) / keys.shape[-1] ** 0.5
    visible = attention_mask.unsqueeze(1)  # (N, 1, L)
    similarity = torch.where(visible == 1, similarity, float("-inf"))
    share = torch.softmax(similarity, dim=2)
    return share @ (hidden @ to_value)
"""
)

PYTORCH_RENORMALISED = """
import torch


def one_head(hidden, attention_mask, to_query, to_key, to_value):
    queries, keys, values = hidden @ to_query, hidden @ to_key, hidden @ to_value
    scores = torch.bmm(queries, keys.transpose(1, 2)) * keys.size(-1) ** -0.5
    weights = scores.softmax(-1) * attention_mask.unsqueeze(1)
    return torch.bmm(weights / weights.sum(-1, keepdim=True), values)
"""

PYTORCH_BUILT_IN = """
import torch.nn.functional as F


def one_head(hidden, attention_mask, to_query, to_key, to_value):
    allowed = attention_mask.bool()[:, None, :]
    return F.scaled_dot_product_attention(hidden @ to_query, hidden @ to_key, hidden @ to_value, attn_mask=allowed)
"""

PYTORCH_ONE_BY_ONE = """
import torch


def one_head(hidden, attention_mask, to_query, to_key, to_value):
    output = torch.zeros(*hidden.shape[:2], to_value.shape[1])
    for text, keep in enumerate(attention_mask.bool()):
        real = hidden[text, keep]
        scores = (real @ to_query) @ (real @ to_key).T / to_key.shape[1] ** 0.5
        output[text, keep] = scores.softmax(1) @ real @ to_value
    return output
"""

KERAS = (
    """
from keras import ops


def one_head(hidden, attention_mask, to_query, to_key, to_value):
"""
    + DOCSTRING
    + """    queries, keys = hidden @ to_query, hidden @ to_key  # (N, L, E)
    similarity = ops.einsum("nqe,nke->nqk", queries, keys) / keys.shape[-1] ** 0.5
    visible = ops.expand_dims(attention_mask, 1)  # (N, 1, L)
    similarity = ops.where(visible == 1, similarity, float("-inf"))
    share = ops.softmax(similarity)
    return share @ (hidden @ to_value)
"""
)

KERAS_RENORMALISED = """
from keras import ops


def one_head(hidden, attention_mask, to_query, to_key, to_value):
    queries, keys, values = (ops.matmul(hidden, weights) for weights in (to_query, to_key, to_value))
    scores = ops.matmul(queries, ops.transpose(keys, (0, 2, 1))) * keys.shape[-1] ** -0.5
    weights = ops.softmax(scores) * ops.cast(attention_mask, hidden.dtype)[:, None]
    return ops.matmul(weights / ops.sum(weights, axis=-1, keepdims=True), values)
"""

KERAS_PENALTY = """
import tensorflow as tf


def one_head(hidden, attention_mask, to_query, to_key, to_value):
    scores = tf.matmul(hidden @ to_query, hidden @ to_key, transpose_b=True) / to_key.shape[1] ** 0.5
    scores += (tf.cast(attention_mask[:, tf.newaxis], tf.float32) - 1) * 1e9
    return tf.nn.softmax(scores) @ (hidden @ to_value)
"""

MESSAGES = {
    "times-mask": _("multiplying makes a padding score 0, and to a softmax 0 is a score like any other: exp(0) is 1"),
    "plus-mask": _("adding 1 for a token and 0 for padding favours tokens a little; padding still gets a share"),
    "too-mild": _("the penalty on padding is too small: against high scores, padding still gets a share"),
    "after-softmax": _("padding is taken out after the softmax, so the shares that are left no longer add up to 1"),
    "queries": _("padding is kept from attending; what must not happen is that tokens attend to padding"),
    "inverted": _("the mask is used the wrong way round: tokens attend to padding only"),
    "zeroed-input": _("padding vectors are zero now, but a zero vector still gets its share of every row"),
    "no-mask": _("padding is attended to like any token"),
}
SELECT = {
    "pytorch": 'torch.where(visible == 1, similarity, float("-inf"))',
    "keras": 'ops.where(visible == 1, similarity, float("-inf"))',
}
VISIBLE = {"pytorch": "visible", "keras": "ops.cast(visible, similarity.dtype)"}
SHARE = {"pytorch": "share = torch.softmax(similarity, dim=2)", "keras": "share = ops.softmax(similarity)"}
ROWS = {
    "pytorch": ("attention_mask.unsqueeze(1)", "attention_mask.unsqueeze(2)"),
    "keras": ("ops.expand_dims(attention_mask, 1)", "ops.expand_dims(attention_mask, 2)"),
}
ZEROED = {
    "pytorch": "hidden = hidden * attention_mask.unsqueeze(2)",
    "keras": "hidden = hidden * ops.cast(ops.expand_dims(attention_mask, 2), hidden.dtype)",
}
PROJECT = "    queries, keys = hidden @ to_query, hidden @ to_key"
ALTERNATIVES = {
    "pytorch": {
        "renormalised": PYTORCH_RENORMALISED,
        "built in": PYTORCH_BUILT_IN,
        "one by one": PYTORCH_ONE_BY_ONE,
    },
    "keras": {"renormalised": KERAS_RENORMALISED, "penalty": KERAS_PENALTY},
}


def variant(framework: str, probe: Probe) -> Variant:
    """A framework's variant; the starter multiplies the scores by the mask."""
    reference = {"pytorch": PYTORCH, "keras": KERAS}[framework]
    select, visible, share = SELECT[framework], VISIBLE[framework], SHARE[framework]
    edits = {
        "times-mask": ((select, f"similarity * {visible}"),),
        "plus-mask": ((select, f"similarity + {visible}"),),
        "too-mild": ((select, f"similarity - 5.0 * (1 - {visible})"),),
        "after-softmax": ((select, "similarity"), (share, f"{share} * {visible}")),
        "queries": (ROWS[framework], (select, select.replace('float("-inf")', "-1e9"))),
        "inverted": ((select, select.replace("== 1", "== 0").replace('float("-inf")', "-1e9")),),
        "zeroed-input": ((PROJECT, f"    {ZEROED[framework]}\n{PROJECT}"), (select, "similarity")),
        "no-mask": ((select, "similarity"),),
    }
    mistakes = {name: Mistake(MESSAGES[name], edit) for name, edit in edits.items()}
    return Variant(reference, probe, ALTERNATIVES[framework], mistakes, mistakes["times-mask"].code(reference))
