"""sentiment: short texts of four domains, each with a mean human rating from -4 to 4 (Hutto & Gilbert, ICWSM 2014).

Where a document's snippets are numbered (products: reviews; news: editorials), a document is in one split. Texts that
are equal or nearly equal once case and punctuation are gone pull their documents into one split too: the tweets hold
reworded versions of one another ("was FUN!!!", "was major fun!") that would otherwise leak. Snippets of movies are
numbered through, without their film or critic, so the same film may be in two splits.
"""

import html
import re

import numpy as np

from tl_course import assets
from tl_course.data.dataset import Dataset, Split
from tl_course.data.near import near_duplicates
from tl_course.data.splits import split_by_hash
from tl_course.errors import BadInput
from tl_course.i18n import _

FILES = {
    "tweets": "tweets_GroundTruth.txt",
    "movies": "movieReviewSnippets_GroundTruth.txt",
    "products": "amazonReviewSnippets_GroundTruth.txt",
    "news": "nytEditorialSnippets_GroundTruth.txt",
}
"""Domain -> file."""

CLASS_NAMES = ("negative", "positive")


def sentiment(domain: str = "tweets", neutral: float = 0.5) -> Dataset:
    """Texts of one domain: x array of str (N,); y 1 positive, 0 negative.

    Each split also has `extras["rating"]` (mean of 20 or so raters, float64 in [-4, 4]) and `extras["document"]` (the
    review or editorial it belongs to, str). Split 60/10/30 by document before neutral texts are left out, so the split
    of a text does not depend on `neutral`. HTML entities are decoded; texts without a single word are dropped.

    Args:
        domain: "tweets", "movies", "products" or "news".
        neutral: texts with |rating| < neutral have no clear polarity and are left out, as are ratings of exactly 0.

    Raises:
        BadInput: unknown domain, or neutral outside [0, 2].
    """
    if domain not in FILES:
        raise BadInput(
            _("a domain of {names}").format(names=", ".join(FILES)), repr(domain), _("pass for example domain='tweets'")
        )
    if not isinstance(neutral, int | float) or not 0 <= neutral <= 2:
        raise BadInput(_("neutral as a number in [0, 2]"), repr(neutral), _("pass for example neutral=0.5"))
    documents, ratings, texts = _read(domain)
    keys = _groups(documents, [normalise(text) for text in texts])
    x, document = np.array(texts), np.array(documents)
    polar = (np.abs(ratings) >= neutral) & (ratings != 0)
    train, val, test = (
        Split(x[kept], (ratings[kept] > 0).astype(np.int64), {"rating": ratings[kept], "document": document[kept]})
        for kept in (part[polar[part]] for part in split_by_hash(keys, salt=domain))
    )
    asset = assets.ASSETS["sentiment"]
    return Dataset("sentiment", train, test, val, CLASS_NAMES, asset.citation, asset.licence)


def normalise(text: str) -> str:
    """Lower-case words separated by one blank: what is left when case, punctuation and spacing do not count."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _read(domain: str) -> tuple[list[str], np.ndarray, list[str]]:
    """Documents, ratings and texts; a line of the file is id, tab, rating, tab, text."""
    content = (assets.path("sentiment") / FILES[domain]).read_bytes().decode("utf-8")
    rows = [line.split("\t", 2) for line in content.split("\r\n") if line]
    rows = [(name, rating, html.unescape(text).strip()) for name, rating, text in rows if re.search(r"\w", text)]
    documents = [name.split("_")[0] for name, _rating, _text in rows]
    return documents, np.array([float(rating) for _name, rating, _text in rows]), [text for _n, _r, text in rows]


def _groups(documents: list[str], texts: list[str]) -> list[str]:
    """One key an example; the same key where documents are the same or joined by (nearly) equal texts."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    def join(one: str, other: str) -> None:
        first, second = sorted((root(one), root(other)))
        parent[second] = first

    for one, other in near_duplicates(texts):
        join(documents[one], documents[other])
    return [root(document) for document in documents]
