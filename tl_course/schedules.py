"""How the learning rate moves over a training run; the same numbers in both frameworks."""

import math

from tl_course.errors import BadInput
from tl_course.i18n import _


def warmup_cosine(step: int, num_steps: int, peak: float, warmup: float = 0.1, final: float = 0.0) -> float:
    """The learning rate of one step: a linear rise to `peak`, then half a cosine down to `final * peak`.

    Warm-up keeps the first steps of a new head from shaking the backbone (Goyal et al., 2017, section 2.2); the cosine
    is that of Loshchilov & Hutter (SGDR, 2017) without restarts. With w = warmup * num_steps, rounded down but at least
    1 unless `warmup` is 0:

        step < w:    peak * (step + 1) / w
        otherwise:   peak * (final + (1 - final) * (1 + cos(pi * (step - w) / (num_steps - w))) / 2)

    Args:
        step: 0 is the first step of the run. `num_steps` is allowed and gives `final * peak`.
        num_steps: gradient steps of the whole run, at least 1.
        peak: the highest rate, reached at the end of the warm-up.
        warmup: fraction of the steps that rise, from 0 (none) to 1.
        final: the last rate as a fraction of `peak`, from 0 to 1.

    Raises:
        BadInput: a step outside the run, or a fraction outside [0, 1].
    """
    if not 0 <= step <= num_steps or num_steps < 1:
        raise BadInput(
            _("a step from 0 to num_steps={num_steps}, and at least one step").format(num_steps=num_steps),
            _("step={step}").format(step=step),
            _("count the steps of all epochs: num_epochs * ceil(images / batch_size)"),
        )
    for name, fraction in (("warmup", warmup), ("final", final)):
        if not 0 <= fraction <= 1:
            raise BadInput(
                _("{name} as a fraction from 0 to 1").format(name=name),
                str(fraction),
                _("0.1 means a tenth of the steps (warmup) or of the peak (final)"),
            )
    rising = max(1, math.floor(warmup * num_steps + 1e-9)) if warmup > 0 else 0  # 0.29 * 100 is 28.999…
    if step < rising:
        return peak * (step + 1) / rising
    angle = math.pi * (step - rising) / max(1, num_steps - rising)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(angle)))
