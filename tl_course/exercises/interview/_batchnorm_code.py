"""The code of the question on batch normalisation: reference, alternatives and mistakes."""

from tl_course.exercises.engine.exercise import Mistake
from tl_course.i18n import _

NUMPY = '''
import numpy as np


class BatchNorm:
    """Batch normalisation (Ioffe and Szegedy, 2015) of x (N, D), forward only, as torch.nn.BatchNorm1d does it.

    Attributes, each of shape (D,) and float: gain (starts at 1), bias (0), running_mean (0), running_var (1); and
    training, a bool: True for a new layer. All of them may be set from outside.
    """

    def __init__(self, num_features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        """Momentum is the weight of the new batch in the running statistics; eps is added to the variance."""
        self.momentum, self.eps, self.training = momentum, eps, True
        self.gain, self.bias = np.ones(num_features), np.zeros(num_features)
        self.running_mean, self.running_var = np.zeros(num_features), np.ones(num_features)

    def train(self, mode: bool = True) -> None:
        """Switch to training (or, with mode=False, to evaluation)."""
        self.training = mode

    def eval(self) -> None:
        """Switch to evaluation."""
        self.train(False)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Normalise x, shape (N, D); x is not modified.

        In training with the batch's mean and its biased variance (divided by N), and the running statistics move: they
        take in the mean and the unbiased variance (divided by N - 1). In evaluation with the running statistics, which
        stay as they are.

        Raises:
            ValueError: in training, for a batch of fewer than 2; the statistics stay as they are.
        """
        mean, variance = self.running_mean, self.running_var
        if self.training:
            if len(x) < 2:
                raise ValueError("training needs at least two examples")
            mean, variance = x.mean(axis=0), x.var(axis=0)
            unbiased = variance * len(x) / (len(x) - 1)
            self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
            self.running_var = (1 - self.momentum) * self.running_var + self.momentum * unbiased
        return (x - mean) / np.sqrt(variance + self.eps) * self.gain + self.bias
'''

TWO_PATHS = """
import numpy as np


class BatchNorm:
    def __init__(self, num_features, momentum=0.1, eps=1e-5):
        self.momentum = momentum
        self.eps = eps
        self.training = True
        self.gain = np.full(num_features, 1.0)
        self.bias = np.full(num_features, 0.0)
        self.running_mean = self.bias.copy()
        self.running_var = self.gain.copy()

    def train(self, mode=True):
        self.training = bool(mode)
        return self

    def eval(self):
        self.training = False
        return self

    def __call__(self, x):
        return self._learn(x) if self.training else self._normalise(x, self.running_mean, self.running_var)

    def _learn(self, x):
        if x.shape[0] < 2:
            raise ValueError(f"a batch of {x.shape[0]} in training")
        mean = x.sum(0) / len(x)
        self.running_mean = self.running_mean + self.momentum * (mean - self.running_mean)
        self.running_var = self.running_var + self.momentum * (x.var(0, ddof=1) - self.running_var)
        return self._normalise(x, mean, np.square(x - mean).mean(0))

    def _normalise(self, x, mean, variance):
        scale = self.gain * (variance + self.eps) ** -0.5
        return x * scale + (self.bias - mean * scale)
"""

FEATURES = """
import statistics

import numpy as np


class BatchNorm:
    def __init__(self, num_features, momentum=0.1, eps=1e-5):
        self.gain, self.bias = np.ones(num_features), np.zeros(num_features)
        self.running_mean, self.running_var = np.zeros(num_features), np.ones(num_features)
        self.share, self.eps = momentum, eps
        self.train()

    def train(self, mode=True):
        self.training = mode

    def eval(self):
        self.training = False

    def __call__(self, x):
        if self.training and len(x) <= 1:
            raise ValueError("too few")
        columns = []
        for j, column in enumerate(x.T):
            centre, spread = self.running_mean[j], self.running_var[j]
            if self.training:
                values = column.tolist()
                centre, spread = statistics.fmean(values), statistics.pvariance(values)
                self.running_mean[j] += self.share * (centre - self.running_mean[j])
                self.running_var[j] += self.share * (statistics.variance(values) - self.running_var[j])
            columns.append(self.gain[j] * (column - centre) / np.sqrt(spread + self.eps) + self.bias[j])
        return np.stack(columns, axis=1)
"""

UNBIASED, BATCH = "variance * len(x) / (len(x) - 1)", "mean, variance = x.mean(axis=0), x.var(axis=0)"
CHECK = '            if len(x) < 2:\n                raise ValueError("training needs at least two examples")\n'
MEAN = "(1 - self.momentum) * self.running_mean + self.momentum * mean"
VAR = "(1 - self.momentum) * self.running_var + self.momentum * unbiased"
RETURN = "(x - mean) / np.sqrt(variance + self.eps) * self.gain + self.bias"
MISTAKES = {
    "biased-running": Mistake(
        _("the running variance takes in the variance that is divided by N: for small batches it ends up too small"),
        ((UNBIASED, "variance"),),
    ),
    "unbiased-batch": Mistake(
        _("the batch itself is normalised with the variance divided by N - 1"),
        ((BATCH, "mean, variance = x.mean(axis=0), x.var(axis=0, ddof=1)"), (UNBIASED, "variance")),
    ),
    "momentum-turned": Mistake(
        _("momentum weights the past instead of the new batch: that is how Keras means it"),
        (
            (MEAN, "self.momentum * self.running_mean + (1 - self.momentum) * mean"),
            (VAR, "self.momentum * self.running_var + (1 - self.momentum) * unbiased"),
        ),
    ),
    "running-in-training": Mistake(
        _("in training, too, the running statistics normalise, and the batch's only update them"),
        ((RETURN, RETURN.replace("mean)", "self.running_mean)").replace("(variance", "(self.running_var")),),
    ),
    "batch-in-evaluation": Mistake(
        _("in evaluation the batch's own statistics normalise: an example's result depends on its neighbours"),
        (
            ("        if self.training:\n", f"        {BATCH}\n        if self.training:\n"),
            (f"            {BATCH}\n", ""),
        ),
    ),
    "updates-in-evaluation": Mistake(
        _("evaluation moves the running statistics: the test data change the model"),
        (
            (
                "        return (x",
                "        if not self.training:\n"
                "            self.running_mean = (1 - self.momentum) * mean + self.momentum * x.mean(axis=0)\n"
                "        return (x",
            ),
        ),
    ),
    "variance-from-zero": Mistake(
        _("the running variance starts at zero: before many batches have come, evaluation divides by far too little"),
        (("np.zeros(num_features), np.ones(num_features)\n\n", "np.zeros(num_features), np.zeros(num_features)\n\n"),),
    ),
    "running-deviation": Mistake(
        _("the standard deviation is averaged over batches; the statistic to keep is the variance"),
        ((UNBIASED, f"np.sqrt({UNBIASED})"),),
    ),
    "eps-outside": Mistake(
        _("eps is added to the standard deviation, outside the root"),
        (("np.sqrt(variance + self.eps)", "(np.sqrt(variance) + self.eps)"),),
    ),
    "per-example": Mistake(
        _("mean and variance run over the features of each example: that is layer normalisation"),
        ((BATCH, "mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)"),),
    ),
    "batch-of-one": Mistake(
        _("a batch of one is taken in training: it normalises to nothing but the bias, and spoils the running one"),
        ((CHECK, ""),),
    ),
    "eval-forgotten": Mistake(
        _("eval leaves the layer in training"), (("        self.train(False)\n", "        self.train()\n"),)
    ),
    "in-place": Mistake(
        _("the caller's batch is overwritten"), ((f"return {RETURN}", f"x[...] = {RETURN}\n        return x"),)
    ),
}
