"""Weights that come over the network: a short wait, and one clear line when they cannot be had."""

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tl_course.errors import BadInput
from tl_course.i18n import _

OFFLINE = ("mobilenet_v2", "fashion_resnet", "minilm", "tiny_vit")  # models whose weights need no hub
TIMEOUT = 10.0  # seconds without an answer after which a download is given up


@contextmanager
def short_timeout(seconds: float = TIMEOUT) -> Iterator[None]:
    """New connections give up after `seconds` without an answer; loaders that set no limit would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def answers(url: str, seconds: float = 5.0) -> bool:
    """Whether the server behind `url` answers at all, through the user's proxy where one is set."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds).close()
    except urllib.error.HTTPError:
        return True  # an answer, though not a welcoming one
    except OSError:
        return False
    return True


def unavailable(name: str, reason: object) -> BadInput:
    """The error for hub weights that are neither cached nor reachable."""
    lines = str(reason).strip().splitlines() or [type(reason).__name__]
    return BadInput(
        expected=_("the pretrained weights of {name}, cached or downloaded").format(name=name),
        got=_("neither: {reason}").format(reason=lines[0]),
        remedy=_("connect once, or use what works offline ({names}), or random weights: weights=None").format(
            names=", ".join(OFFLINE)
        ),
    )
