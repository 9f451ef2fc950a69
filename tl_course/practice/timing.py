"""Time as interview practice measures and shows it."""

import threading
import time
from collections.abc import Callable


def clock(seconds: float) -> str:
    """Minutes and seconds, as 31:05; -1:10 for time overdrawn."""
    sign, whole = ("-", -seconds) if seconds < 0 else ("", seconds)
    return f"{sign}{int(whole) // 60}:{int(whole) % 60:02}"


class Stopwatch:
    """Seconds since it was made, and those that had passed before."""

    def __init__(self, before: float = 0.0) -> None:
        self.began = time.monotonic() - before

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began


class Ticker:
    """Calls something every second, in a thread of its own, until it is stopped or Python ends."""

    def __init__(self, tick: Callable[[], None], every: float = 1.0) -> None:
        self._tick, self._every, self._stopped = tick, every, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more calls once this returns; not to be called by what it calls."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every):
            self._tick()
