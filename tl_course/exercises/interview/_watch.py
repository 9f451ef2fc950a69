"""What the probes of live-coding questions share: a call that notices changed inputs."""

from collections.abc import Callable
from typing import Any

import numpy as np


def call(candidate: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[Any, bool]:
    """What a candidate returns, and whether the arrays handed to it are as they were."""
    arrays = [value for value in (*arguments, *named.values()) if isinstance(value, np.ndarray)]
    before = [array.copy() for array in arrays]
    result = candidate(*arguments, **named)
    return result, all(np.array_equal(*pair) for pair in zip(arrays, before, strict=True))
