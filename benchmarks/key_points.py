"""Fit the estimate of which key points an answer covers, and measure it on cards that the fit has not seen.

The labelled answers (tests/practice/labelled_answers.toml) are split by card. On the fit half a logistic regression is
fitted, and the threshold is the one of highest recall at a precision of 0.85 in leave-one-card-out predictions. On the
test half: precision, recall and F1 over key points, with 95 % intervals from a bootstrap over cards, and for each kind
of answer the share of points that are ticked though they are not covered. Answers that deny the key points or exchange
their roles (swapped = true) are neither fitted on nor part of precision and recall; their share stands by itself.
All answers were written for this purpose and labelled by their writer, once: what learners really say may be harder.

    python benchmarks/key_points.py        writes tl_course/practice/key_points.json
"""

import json
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tl_course.practice import key_points
from tl_course.practice.cards import all_cards

ANSWERS = Path(__file__).resolve().parent.parent / "tests" / "practice" / "labelled_answers.toml"
PRECISION, C, DRAWS, SEED = 0.85, 1.0, 2000, 0
CARDS = {card.id: card for card in all_cards()}


def table(answers: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """One row for each key point of each answer: features x, label y, card, kind, place of the answer."""
    x = [key_points.features(CARDS[answer["card"]], answer["text"]) for answer in answers]
    counts = [len(rows) for rows in x]

    def repeated(values: list[Any]) -> np.ndarray:
        return np.repeat(np.array(values), counts)

    return {
        "x": np.concatenate(x),
        "y": np.concatenate([answer["covered"] for answer in answers]),
        "card": repeated([answer["card"] for answer in answers]),
        "kind": repeated(["swapped" if answer.get("swapped") else answer["kind"] for answer in answers]),
        "answer": repeated(list(range(len(answers)))),
    }


def fit(rows: dict[str, np.ndarray]) -> dict[str, Any]:
    """Coefficients for features that are not scaled, and the threshold."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C))
    held_out = cross_val_predict(
        model, rows["x"], rows["y"], groups=rows["card"], cv=LeaveOneGroupOut(), method="predict_proba"
    )[:, 1]
    model.fit(rows["x"], rows["y"])
    scaler, regression = model[0], model[1]
    coefficients = regression.coef_[0] / scaler.scale_
    return {
        "features": list(key_points.FEATURES),
        "coefficients": coefficients.round(5).tolist(),
        "intercept": round(float(regression.intercept_[0] - coefficients @ scaler.mean_), 5),
        "threshold": threshold(rows["y"], held_out),
    }


def threshold(y: np.ndarray, probabilities: np.ndarray) -> float:
    """The lowest one from which on precision reaches PRECISION."""
    for candidate in np.arange(0.05, 0.96, 0.01):
        ticked = probabilities >= candidate
        if ticked.any() and y[ticked].mean() >= PRECISION:
            return round(float(candidate), 2)
    raise SystemExit(f"no threshold reaches a precision of {PRECISION}")


def measure(rows: dict[str, np.ndarray], model: dict[str, Any]) -> dict[str, Any]:
    """Precision, recall, F1 with intervals; false ticks by kind of answer."""
    ticked = rows["x"] @ np.array(model["coefficients"]) + model["intercept"] >= np.log(
        model["threshold"] / (1 - model["threshold"])
    )
    plain = rows["kind"] != "swapped"
    precision, recall, f1 = scores(rows["y"][plain], ticked[plain])
    partial = rows["kind"] == "partial"
    return {
        "answers": len(np.unique(rows["answer"][plain])),
        "cards": len(np.unique(rows["card"])),
        "key_points": int(plain.sum()),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "intervals": intervals(rows["y"][plain], ticked[plain], rows["card"][plain]),
        "precision_in_partial_answers": scores(rows["y"][partial], ticked[partial])[0],
        "recall_in_partial_answers": scores(rows["y"][partial], ticked[partial])[1],
        "precision_with_swapped_answers": scores(rows["y"], ticked)[0],
        "false_ticks": {
            str(kind): round(float(ticked[(rows["kind"] == kind) & ~rows["y"]].mean()), 3)
            for kind in np.unique(rows["kind"])
            if not rows["y"][rows["kind"] == kind].all()
        },
    }


def scores(y: np.ndarray, ticked: np.ndarray) -> tuple[float, float, float]:
    """Precision, recall, F1 over key points."""
    found = precision_recall_fscore_support(y, ticked, average="binary", zero_division=0.0)[:3]
    precision, recall, f1 = (round(float(value), 3) for value in found)
    return precision, recall, f1


def intervals(y: np.ndarray, ticked: np.ndarray, card: np.ndarray) -> dict[str, list[float]]:
    """95 % of the bootstrap over cards."""
    places = [np.flatnonzero(card == name) for name in np.unique(card)]
    counts = np.array([[(y[p] & ticked[p]).sum(), ticked[p].sum(), y[p].sum()] for p in places])
    drawn = np.random.default_rng(SEED).integers(0, len(places), size=(DRAWS, len(places)))
    both, said, true = counts[drawn].sum(axis=1).T
    figures = {"precision": both / said, "recall": both / true, "f1": 2 * both / (said + true)}
    return {name: np.quantile(values, [0.025, 0.975]).round(3).tolist() for name, values in figures.items()}


def nearest_window_auc(answers: list[dict[str, Any]], language: str) -> float:
    """Do a card's covered key points lie nearer to the answer than the others? AUC of the nearest window's cosine."""
    labels, values = [], []
    for answer in answers:
        text = re.sub(r"([。；：，])", r"\1; ", answer["text"]).strip("; ")
        points = tuple(getattr(point, language) for point in CARDS[answer["card"]].key_points)
        similar = key_points.encode(tuple(key_points.windows(text))) @ key_points.encode(points).T
        labels += answer["covered"]
        values += similar.max(axis=0).tolist()
    return round(float(roc_auc_score(labels, values)), 3)


def main() -> None:
    """Fit, measure, write, print."""
    labelled = tomllib.loads(ANSWERS.read_text(encoding="utf-8"))
    answers, chinese = labelled["answer"], labelled["chinese"]
    fitting = [answer for answer in answers if answer["split"] == "fit" and not answer.get("swapped")]
    model = fit(table(fitting))
    model["fit"] = {"answers": len(fitting), "cards": len({a["card"] for a in fitting}), "C": C, "precision": PRECISION}
    model["measured"] = measure(table([answer for answer in answers if answer["split"] == "test"]), model)
    partial = {answer["card"]: answer for answer in reversed(answers) if answer["kind"] == "partial"}
    same = [partial[answer["card"]] for answer in chinese]  # what the Chinese answers say, in English
    model["nearest_window_auc"] = {"en": nearest_window_auc(same, "en"), "zh": nearest_window_auc(chinese, "zh")}
    model["made"] = {"command": "python benchmarks/key_points.py", "date": str(date.today()), "seed": SEED}
    key_points.FILE.write_text(json.dumps(model, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(model, indent=1))


if __name__ == "__main__":
    main()
