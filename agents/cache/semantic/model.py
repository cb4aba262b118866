"""The learned part: a regularised logistic regression and a small boosted forest over the same figures, averaged.

The line generalises where the forest has seen little, the forest knows which figures only matter together. Both are
plain numpy and deterministic: the same rows give the same model. Trees are grown by second-order gradient boosting
(Friedman 2001, “Greedy function approximation”; Chen and Guestrin 2016, “XGBoost”) on quantile bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ROUNDS: Final = 120
DEPTH: Final = 3
RATE: Final = 0.06
SHARE: Final = 0.7
BINS: Final = 24
LEAST_WEIGHT: Final = 1.5
TREE_PENALTY: Final = 2.0
LINE_PENALTY: Final = 4.0
FORESTS: Final = 3


@dataclass(frozen=True, slots=True)
class Line:
    """Logistic regression on standardised figures: weights[d], with the mean and spread of each figure."""

    weights: Floats
    bias: float
    mean: Floats
    spread: Floats

    def predict(self, rows: Floats) -> Floats:
        """Probabilities[n] of rows[n, d]."""
        return _sigmoid((rows - self.mean) / self.spread @ self.weights + self.bias)


@dataclass(frozen=True, slots=True)
class Forest:
    """Boosted trees as full binary trees: figure, threshold [trees, 2**depth - 1]; leaves [trees, 2**depth]."""

    figure: npt.NDArray[np.int64]
    threshold: Floats
    leaves: Floats
    bias: float

    def predict(self, rows: Floats) -> Floats:
        """Probabilities[n] of rows[n, d]."""
        each, trees = np.arange(len(rows))[:, None], np.arange(len(self.figure))[None, :]
        node = np.zeros((len(rows), len(self.figure)), np.int64)
        for _level in range(DEPTH):
            node = 2 * node + 1 + (rows[each, self.figure[trees, node]] > self.threshold[trees, node])
        return _sigmoid(self.leaves[trees, node - (2**DEPTH - 1)].sum(axis=1) + self.bias)


@dataclass(frozen=True, slots=True)
class Learned:
    """The average of a line and some forests."""

    line: Line
    forests: tuple[Forest, ...]

    def predict(self, rows: Floats) -> Floats:
        """Probabilities[n] that one answer serves both, of rows[n, d]."""
        forest = sum((forest.predict(rows) for forest in self.forests), np.zeros(len(rows))) / len(self.forests)
        mean: Floats = (self.line.predict(rows) + forest) / 2
        return mean

    def as_json(self) -> dict[str, Any]:
        """All weights, rounded so that the file is the same on every machine."""
        line = self.line
        return {
            "line": {"weights": _rounded(line.weights), "bias": round(line.bias, 6), "mean": _rounded(line.mean),
                     "spread": _rounded(line.spread)},
            "forests": [{"figure": forest.figure.tolist(), "threshold": _rounded(forest.threshold),
                         "leaves": _rounded(forest.leaves), "bias": round(forest.bias, 6)} for forest in self.forests],
        }  # fmt: skip


def learned_from(given: dict[str, Any]) -> Learned:
    """What as_json() wrote."""
    line = given["line"]
    arrays = [np.asarray(line[name], np.float64) for name in ("weights", "mean", "spread")]
    forests = tuple(
        Forest(
            np.asarray(forest["figure"], np.int64),
            np.asarray(forest["threshold"], np.float64),
            np.asarray(forest["leaves"], np.float64),
            float(forest["bias"]),
        )
        for forest in given["forests"]
    )
    return Learned(Line(arrays[0], float(line["bias"]), arrays[1], arrays[2]), forests)


def learn(rows: Floats, labels: Floats, *, seed: int = 0) -> Learned:
    """Learns from rows[n, d] and labels[n] in {0, 1}. Deterministic for a seed."""
    forests = tuple(_forest(rows, labels, np.random.default_rng([seed, number])) for number in range(FORESTS))
    return Learned(_line(rows, labels), forests)


def _line(rows: Floats, labels: Floats) -> Line:
    mean, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), 1e-6)
    design = np.column_stack([(rows - mean) / spread, np.ones(len(rows))])
    penalty = np.append(np.full(rows.shape[1], LINE_PENALTY), 1e-6)
    weights = np.zeros(design.shape[1])
    for _step in range(25):  # Newton's method; converges in about eight steps
        likely = _sigmoid(design @ weights)
        gradient = design.T @ (likely - labels) + penalty * weights
        curvature = (design * (likely * (1 - likely))[:, None]).T @ design + np.diag(penalty)
        weights = weights - np.linalg.solve(curvature, gradient)
    return Line(weights[:-1], float(weights[-1]), mean, spread)


def _forest(rows: Floats, labels: Floats, chance: np.random.Generator) -> Forest:
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1)[1:-1])) for column in rows.T]
    binned = np.column_stack([np.searchsorted(edge, column) for edge, column in zip(edges, rows.T, strict=True)])
    bias = float(np.log(labels.mean() / (1 - labels.mean())))
    sums = np.full(len(rows), bias)
    trees = []
    for _round in range(ROUNDS):
        likely = _sigmoid(sums)
        chosen = chance.random(len(rows)) < SHARE
        tree = _tree(binned, labels - likely, likely * (1 - likely), chosen)
        sums = sums + tree[2][_leaf_of(binned, tree)]
        trees.append(tree)
    threshold = np.array(
        [
            [edges[f][min(b, len(edges[f]) - 1)] if b < BINS else np.inf for f, b in zip(*tree[:2], strict=True)]
            for tree in trees
        ]
    )
    return Forest(np.array([tree[0] for tree in trees]), threshold, np.array([tree[2] for tree in trees]), bias)


Tree = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]


def _tree(binned: npt.NDArray[np.int64], gradient: Floats, weight: Floats, chosen: npt.NDArray[np.bool_]) -> Tree:
    inner = 2**DEPTH - 1
    figure, border = np.zeros(inner, np.int64), np.full(inner, BINS, np.int64)
    members: dict[int, npt.NDArray[np.int64]] = {0: np.flatnonzero(chosen)}
    for node in range(inner):
        here = members[node]
        figure[node], border[node] = _best_split(binned[here], gradient[here], weight[here])
        above = binned[here, figure[node]] > border[node]
        members[2 * node + 1], members[2 * node + 2] = here[~above], here[above]
    leaves = np.array([
        RATE * gradient[members[inner + leaf]].sum() / (weight[members[inner + leaf]].sum() + TREE_PENALTY)
        for leaf in range(2**DEPTH)
    ])  # fmt: skip
    return figure, border, leaves


def _best_split(binned: npt.NDArray[np.int64], gradient: Floats, weight: Floats) -> tuple[int, int]:
    """The figure and the bin after which to part the rows; (0, BINS) parts nothing."""
    count = binned.shape[1]
    flat = (binned + np.arange(count) * (BINS + 1)).ravel()
    sums = [
        np.bincount(flat, np.repeat(values, count), count * (BINS + 1)).reshape(count, -1).cumsum(axis=1)
        for values in (gradient, weight)
    ]
    g, h, whole_g, whole_h = sums[0], sums[1], sums[0][:, -1:], sums[1][:, -1:]
    gain = g**2 / (h + TREE_PENALTY) + (whole_g - g) ** 2 / (whole_h - h + TREE_PENALTY)
    gain = np.where((h >= LEAST_WEIGHT) & (whole_h - h >= LEAST_WEIGHT), gain.round(9), -1.0)
    best = int(gain.argmax())
    if gain.flat[best] <= float(whole_g[0, 0] ** 2 / (whole_h[0, 0] + TREE_PENALTY)) + 1e-6:
        return 0, BINS
    return best // (BINS + 1), best % (BINS + 1)


def _leaf_of(binned: npt.NDArray[np.int64], tree: Tree) -> npt.NDArray[np.int64]:
    node = np.zeros(len(binned), np.int64)
    for _level in range(DEPTH):
        node = 2 * node + 1 + (binned[np.arange(len(binned)), tree[0][node]] > tree[1][node])
    return node - (2**DEPTH - 1)


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), np.float64)


def _rounded(values: Floats) -> Any:
    return np.where(np.isfinite(values), np.round(values, 6), 1e9).tolist()
