"""Attention maps as arrays: what is refused, values computed by hand, and scores that find what was planted."""

import numpy as np
import pytest

from tl_course import attention
from tl_course.attention import AttentionMaps
from tl_course.errors import BadInput

TOKENS = ("[CLS]", "a", "b", "a", "[SEP]", "[PAD]")


def maps_of(weights: np.ndarray) -> AttentionMaps:
    """One layer and one head of two inputs: the second one token shorter than the first."""
    mask = np.array([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0]], bool)
    tokens = (TOKENS, ("[CLS]", "c", "d", "[SEP]", "[PAD]", "[PAD]"))
    special = np.array([[word.startswith("[") for word in words] for words in tokens])
    return AttentionMaps(tokens, weights, mask, special)


def weights_from(keys: dict[int, int]) -> np.ndarray:
    """(1, 2, 1, 6, 6): each token attends to itself, those named to another token."""
    rows = np.eye(6, dtype=np.float32)
    for query, key in keys.items():
        rows[query] = np.eye(6)[key]
    return np.broadcast_to(rows, (1, 2, 1, 6, 6)).copy()


def test_padding_is_dropped():
    maps = maps_of(weights_from({}))
    assert maps.tokens_of(1) == ("[CLS]", "c", "d", "[SEP]")
    assert maps.of(0).shape == (1, 1, 5, 5) and maps.of(1).shape == (1, 1, 4, 4)
    assert maps.special_of(1).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w * 0.9, "rows that sum to one.*off by up to 0.1"),
        (lambda w: w - 0.5, "weights from 0 to 1"),
        (lambda w: w * np.nan, "weights from 0 to 1"),
        (lambda w: w[0], "pass the attentions of every layer, not hidden states"),
        (lambda w: w[..., ::-1], "no attention to padding"),
    ],
)
def test_what_is_no_attention_is_refused(change, message):
    with pytest.raises(BadInput, match=message):
        maps_of(change(weights_from({})))


def test_what_stands_in_rows_of_padding_does_not_matter():
    weights = weights_from({})
    weights[..., 5, :] = np.nan
    assert maps_of(weights).of(0).sum() == 5


def test_an_input_that_is_not_there_is_refused():
    with pytest.raises(BadInput, match="from 0 to 1"):
        maps_of(weights_from({})).of(2)


def test_rollout_equals_the_value_computed_by_hand():
    first = np.array([[0.6, 0.4], [0.2, 0.8]])
    second = np.array([[1.0, 0.0], [0.5, 0.5]])
    # halves with the identity: [[.8, .2], [.1, .9]] and [[1, 0], [.25, .75]]; second times first:
    expected = [[0.8, 0.2], [0.25 * 0.8 + 0.75 * 0.1, 0.25 * 0.2 + 0.75 * 0.9]]
    weights = np.stack([first, second])[:, None]  # (2, 1, 2, 2)
    np.testing.assert_allclose(attention.rollout(weights), expected)
    np.testing.assert_allclose(attention.rollout(weights, residual=0), second @ first)


def test_rollout_averages_heads_before_it_multiplies():
    heads = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])  # mean: all one half
    np.testing.assert_allclose(attention.rollout(heads[None]), [[0.75, 0.25], [0.25, 0.75]])


def test_flow_equals_the_value_computed_by_hand():
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    weights = np.stack([swap, np.eye(2)])[:, None]
    # the top layer keeps token 0 (capacity 1), the lower one gives half straight on and half crosswise
    np.testing.assert_allclose(attention.attention_flow(weights, 0), [0.5, 0.5])
    np.testing.assert_allclose(attention.attention_flow(weights, 0, residual=0), [0, 1])


def test_flow_equals_networkx_on_random_maps():
    import networkx

    weights = np.random.default_rng(0).dirichlet(np.ones(5), (3, 2, 5))  # (3, 2, 5, 5)
    graph = networkx.DiGraph()
    for layer, maps in enumerate(weights.mean(axis=1)):
        for upper, lower in np.ndindex(5, 5):
            capacity = 0.5 * maps[upper, lower] + 0.5 * (upper == lower)
            graph.add_edge((layer + 1, upper), (layer, lower), capacity=capacity)
    expected = [networkx.maximum_flow_value(graph, (3, 2), (0, token)) for token in range(5)]
    np.testing.assert_allclose(attention.attention_flow(weights, 2), expected, atol=1e-4)


@pytest.mark.parametrize("call", [attention.rollout, lambda w: attention.attention_flow(w, 0)])
def test_a_batch_is_refused_where_one_input_is_wanted(call):
    with pytest.raises(BadInput, match=r"maps\.of\(index\)"):
        call(np.ones((2, 1, 1, 3, 3)))


def test_pieces_are_merged_into_words():
    weights = np.random.default_rng(0).dirichlet(np.ones(4), 4)
    merged, words = attention.merge_pieces(weights, ("[CLS]", "un", "##do", "it"))
    assert words == ("[CLS]", "undo", "it")
    np.testing.assert_allclose(merged.sum(axis=-1), 1)
    assert merged[1, 2] == pytest.approx((weights[1, 3] + weights[2, 3]) / 2)  # from a word: averaged
    assert merged[2, 1] == pytest.approx(weights[3, 1] + weights[3, 2])  # to a word: summed


def test_scores_find_what_was_planted_and_leave_special_tokens_out():
    backwards = maps_of(weights_from({2: 1, 3: 2}))  # in the second input token 3 is [SEP]
    assert attention.previous_token(backwards) == pytest.approx(1)
    assert attention.next_token(backwards) == pytest.approx(0)
    assert attention.next_token(maps_of(weights_from({1: 2}))) == pytest.approx(2 / 3)  # not from 2 to 3
    assert attention.repeated_token(maps_of(weights_from({1: 3, 3: 1}))) == pytest.approx(1)
    to_first = maps_of(weights_from({1: 0, 2: 0, 3: 0}))
    assert attention.first_token(to_first) == pytest.approx(1) and attention.separator(to_first) == pytest.approx(0)


def test_separators_are_the_special_tokens_after_the_first():
    weights = weights_from({1: 4, 2: 4, 3: 4})
    weights[0, 1, 0, 1:4] = np.eye(6)[3]  # where the second input has its [SEP]
    assert attention.separator(maps_of(weights)) == pytest.approx(1)


def test_uniform_attention_has_entropy_one_and_chance_scores():
    uniform = maps_of(weights_from({})).uniform()
    assert attention.entropy(uniform) == pytest.approx(1)
    assert attention.entropy(maps_of(weights_from({}))) == pytest.approx(0)
    assert attention.first_token(uniform) == pytest.approx((3 / 5 + 2 / 4) / 5)


def test_a_score_without_a_case_is_refused():
    maps = maps_of(weights_from({}))
    alone = AttentionMaps(maps.tokens[1:], maps.weights[:, 1:], maps.mask[1:], maps.special[1:])
    with pytest.raises(BadInput, match="none in 1 inputs"):
        attention.repeated_token(alone)


def test_received_and_distances():
    weights = np.array([[0.9, 0.1], [0.3, 0.7]])
    np.testing.assert_allclose(attention.received(weights), [0.6, 0.4])
    np.testing.assert_allclose(attention.received(weights, query=1), [0.3, 0.7])
    assert attention.total_variation([1, 0], [0, 1]) == 1 and attention.total_variation([0.5, 0.5], [1, 0]) == 0.5


def test_rank_correlation_is_kendalls():
    assert attention.rank_correlation([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert np.isnan(attention.rank_correlation([1, 1, 1], [1, 2, 3]))
    with pytest.raises(BadInput, match="t at least 2"):
        attention.rank_correlation([1], [1])
