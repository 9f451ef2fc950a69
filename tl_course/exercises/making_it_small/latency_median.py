"""Find the fault: a benchmark that times the start, the clock of the wrong machine, and one bad moment."""

import numpy as np

from tl_course.exercises.engine.compare import close, holds
from tl_course.exercises.engine.exercise import Case, Criterion, Exercise, Finding, FollowUp, Mistake, Plain, Variant
from tl_course.exercises.engine.plain import as_array
from tl_course.i18n import _

NUMPY = '''
from collections.abc import Callable

import numpy as np


def latency(
    run: Callable[[], None], synchronise: Callable[[], None], clock: Callable[[], float], warm_up: int, repeats: int
) -> float:
    """How long one run of a model takes once it is warm.

    Args:
        run: runs the model on one batch. On an accelerator it only queues the work and returns.
        synchronise: waits until all queued work is done.
        clock: the time in seconds.
        warm_up: runs before the first that counts, 0 or more.
        repeats: runs that count, 1 or more.

    Returns:
        The median time of one run, in milliseconds.
    """
    for _ in range(warm_up):
        run()
    synchronise()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        synchronise()
        times.append(clock() - start)
    return 1000 * np.median(times)
'''

STARTER = NUMPY.replace(
    """    synchronise()
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        synchronise()
        times.append(clock() - start)
    return 1000 * np.median(times)
""",
    """    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    synchronise()
    return 1000 * np.median(times)
""",
)

STATISTICS = """
from statistics import median


def latency(run, synchronise, clock, warm_up, repeats):
    def timed():
        synchronise()
        before = clock()
        run()
        synchronise()
        return (clock() - before) * 1e3

    return median([timed() for _ in range(warm_up + repeats)][warm_up:])
"""

SORTED = """
def latency(run, synchronise, clock, warm_up, repeats):
    done, stamps = 0, []
    while done < warm_up:
        run()
        done += 1
    synchronise()
    stamps.append(clock())
    while len(stamps) <= repeats:
        run()
        synchronise()
        stamps.append(clock())
    spans = sorted(after - before for before, after in zip(stamps, stamps[1:]))
    middle = (spans[(repeats - 1) // 2] + spans[repeats // 2]) / 2
    return 1000.0 * middle
"""

MESSAGES = {
    "not-waited": _(
        "the clock is read while the work is still in the queue: what is timed is how fast work can be ordered"
    ),
    "queue-not-empty": _("the first run that counts still has the warm-up's work in front of it"),
    "mean": _("the mean is taken: one run that another program interrupted moves it as far as it likes"),
    "minimum": _("the fastest run is reported, which users hardly ever see"),
    "no-warm-up": _("the first runs count, in which memory is reserved and kernels are chosen"),
    "one-run": _("one run decides, with whatever happened to it"),
    "total": _("the time of all runs together is reported"),
    "together": _("all runs are timed as one and divided: that is a mean, and overlapping work is throughput"),
    "seconds": _("the result is in seconds; milliseconds were asked for"),
}
WARM, TIMED = "    synchronise()\n    times = []", "        synchronise()\n        times.append(clock() - start)"
RETURN = "1000 * np.median(times)"
EDITS = {
    "queue-not-empty": ((WARM, "    times = []"),),
    "mean": ((RETURN, "1000 * np.mean(times)"),),
    "minimum": ((RETURN, "1000 * np.min(times)"),),
    "no-warm-up": (("range(warm_up)", "range(0)"),),
    "one-run": (("range(repeats)", "range(1)"),),
    "total": ((RETURN, "1000 * np.sum(times)"),),
    "together": (
        (
            "    for _ in range(repeats):\n        start = clock()\n        run()\n" + TIMED,
            "    start = clock()\n    for _ in range(repeats):\n        run()\n    synchronise()\n"
            "    times.append((clock() - start) / repeats)",
        ),
    ),
    "seconds": ((RETURN, "np.median(times)"),),
}


def cases(rng: np.random.Generator) -> list[Case]:
    """An accelerator with slow first runs and a few interruptions; one that is warm at once; an even number of runs."""

    def drawn(warm_up: int, repeats: int) -> dict[str, Plain]:
        times = rng.uniform(0.004, 0.009, size=warm_up + repeats)
        times[:warm_up] += rng.uniform(0.1, 0.3, size=warm_up)
        slow = warm_up + rng.permutation(repeats)[: repeats // 3]
        times[slow] += rng.uniform(0.05, 0.2, size=len(slow))
        if repeats > 2:
            times[warm_up] = 0.0031  # not the first of those that count
        order = float(rng.uniform(0.0002, 0.0005))
        return {"times": times, "order": order, "warm_up": warm_up, "repeats": repeats}

    return [
        Case("an accelerator", drawn(int(rng.integers(3, 6)), int(rng.integers(5, 8)) * 2 + 1), ("value", "runs")),
        Case("an even number of runs", drawn(2, 8), ("even", "runs")),
        Case("no warm-up", drawn(0, 5), ("cold", "runs")),
        Case("one run", drawn(1, 1), ("cold", "runs")),
    ]


def judge(case: Case, observed: dict[str, Plain]) -> list[Finding]:
    """Compare with the middle of the device's own times."""
    inputs = case.inputs
    spans = np.sort(inputs["times"][inputs["warm_up"] :]) + inputs["order"]
    middle = spans[[(len(spans) - 1) // 2, len(spans) // 2]]
    what = _("the latency in milliseconds in case '{case}'").format(case=case.name)
    found = [close(case.criteria[0], observed["latency"], 1000 * middle.sum() / 2, what, atol=1e-4)]
    text = _("in case '{case}' the model ran {seen} times; {right} runs were asked for, {warm_up} of them to warm up")
    right = inputs["warm_up"] + inputs["repeats"]
    message = text.format(case=case.name, seen=observed["runs"], right=right, warm_up=inputs["warm_up"])
    return [*found, holds("runs", observed["runs"] == right, message)]


class Device:
    """A device with a queue and a clock of its own: ordering work takes little time, doing it takes the given times."""

    def __init__(self, times: list[float], order: float) -> None:
        self.times, self.order = times, order
        self.now = self.free = 100.0
        self.runs = 0

    def run(self) -> None:
        """Queue the next run; return at once."""
        self.now += self.order
        work = self.times[min(self.runs, len(self.times) - 1)]
        self.free = max(self.free, self.now) + work
        self.runs += 1

    def synchronise(self) -> None:
        """Wait until the queue is empty."""
        self.now = max(self.now, self.free)

    def clock(self) -> float:
        """Seconds."""
        return self.now


def probe(candidate, inputs):
    """The latency of a device that is simulated, so that the right answer is known."""
    device = Device([float(time) for time in inputs["times"]], inputs["order"])
    found = candidate(device.run, device.synchronise, device.clock, inputs["warm_up"], inputs["repeats"])
    return {"latency": as_array(found), "runs": device.runs}


EXERCISE = Exercise(
    id="latency-median",
    title=_("Too fast to be true"),
    lesson="10_small_and_shipped",
    kind="find-the-fault",
    minutes=10,
    difficulty=2,
    points=4,
    statement=_(
        "A team measures 0.3 ms for a batch on its accelerator, for every model, large or small; users wait twenty "
        "times as long. Find the fault in `latency`, fix it, and prove it on a simulated device: `warm_up` runs that "
        "do not count, then `repeats` runs that are each timed from an idle device until their work is done. Return "
        "the median in milliseconds. `run` may only queue work; `synchronise` waits for it."
    ),
    hints=(
        _("When does `run` return, and when is the model's answer there?"),
        _("Imagine the device's queue at each moment the clock is read. It has to be empty each time."),
        _("Wait once after the warm-up, and in each timed run between `run` and the second look at the clock."),
    ),
    follow_ups=(
        FollowUp(
            _("When do you report the median, when the 95th percentile, and when throughput?"),
            _(
                "The median to compare two models, since it ignores interruptions. The 95th or 99th percentile for "
                "what a service promises to users. Throughput, examples a second with a full queue, for batch jobs; "
                "it does not follow from the latency at batch size 1."
            ),
        ),
        FollowUp(
            _("What else makes two latencies incomparable?"),
            _(
                "Another batch or image size, number of threads, precision, power mode or temperature; data transfer "
                "and preprocessing counted once and not the other time; inference without turning gradients off."
            ),
        ),
    ),
    criteria={
        "value": Criterion(_("gives the median time until the work is done"), weight=2),
        "even": Criterion(_("gives it for an even number of runs"), needs=("value",)),
        "cold": Criterion(_("copes with no warm-up and with one run"), needs=("value",)),
        "runs": Criterion(_("runs the model as often as asked for"), needs=("value",)),
    },
    cases=cases,
    judge=judge,
    variants={
        "numpy": Variant(
            reference=NUMPY,
            probe=probe,
            starter=STARTER,
            alternatives={"statistics": STATISTICS, "time stamps": SORTED},
            mistakes={
                "not-waited": Mistake(MESSAGES["not-waited"], source=STARTER),
                **{name: Mistake(MESSAGES[name], edits) for name, edits in EDITS.items()},
            },
        ),
    },
    complexity=_(
        "`warm_up` + `repeats` runs of the model are all the cost, with O(`repeats`) memory. An honest figure takes "
        "hardly longer than a flattering one: the device has to finish the same work either way."
    ),
)
