"""Distances between domains and estimated class shares, on data whose answer is known."""

import numpy as np
import pytest

from tl_course.errors import BadInput
from tl_course.shift import correct_prior, domain_auroc, proxy_a_distance, target_class_shares


def cloud(count: int, seed: int, centre: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, 1, size=(count, 6))


def test_equal_domains_are_near_and_disjoint_ones_are_two_apart() -> None:
    same = [proxy_a_distance(cloud(300, 2 * s), cloud(300, 2 * s + 1)) for s in range(12)]
    assert abs(np.mean(same)) < 0.1
    assert proxy_a_distance(cloud(300, 0), cloud(300, 1, centre=9.0)) == pytest.approx(2.0)
    middle = proxy_a_distance(cloud(300, 0), cloud(300, 1, centre=0.5))
    assert 0.3 < middle < 1.5


def test_the_distance_does_not_depend_on_how_many_are_of_each_domain() -> None:
    even = proxy_a_distance(cloud(400, 0), cloud(400, 1, 0.6))
    uneven = proxy_a_distance(cloud(1600, 0), cloud(200, 1, 0.6))
    assert even == pytest.approx(uneven, abs=0.2)


def test_the_domain_auroc_is_one_half_without_a_shift() -> None:
    assert domain_auroc(cloud(400, 0), cloud(400, 1)) == pytest.approx(0.5, abs=0.08)
    assert domain_auroc(cloud(400, 0), cloud(400, 1, 2.0)) > 0.99


def test_class_shares_are_recovered_from_calibrated_predictions() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([-1.0, 0.0, 1.5])
    target = rng.choice(3, 6000, p=[0.1, 0.3, 0.6])
    x = centres[target] + rng.normal(size=6000)
    likelihood = np.exp(-((x[:, None] - centres) ** 2) / 2)
    source = np.array([0.5, 0.3, 0.2])
    probabilities = likelihood * source / (likelihood * source).sum(1, keepdims=True)  # exact under the source
    shares = target_class_shares(probabilities, source)
    np.testing.assert_allclose(shares, [0.1, 0.3, 0.6], atol=0.05)
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_array_equal(target_class_shares(probabilities, source, num_rounds=0), source)


def test_a_new_prior_is_bayes_rule() -> None:
    likelihood = np.array([[0.2, 0.6]])  # p(x | y)
    old, new = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    posterior = likelihood * old / (likelihood * old).sum()
    np.testing.assert_allclose(correct_prior(posterior, old, new), likelihood * new / (likelihood * new).sum())


def test_bad_input_is_refused() -> None:
    with pytest.raises(BadInput, match="same model"):
        domain_auroc(np.ones((9, 3)), np.ones((9, 4)))
    with pytest.raises(BadInput, match="above 0"):
        target_class_shares(np.full((2, 3), 1 / 3), np.array([0.0, 0.5, 0.5]))
