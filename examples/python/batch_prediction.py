"""Batch prediction: a model is put into the object store once, actors load it once each, and batches go to whichever is free."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import mobula
from mobula.util import ActorPool


class Model:
    """A logistic model, as it might come from training: 16 MB of weights."""

    def __init__(self, features: int = 1024, classes: int = 2048) -> None:
        self.weights = np.random.default_rng(0).normal(size=(features, classes))

    def predict(self, batch: Any) -> Any:
        return (batch @ self.weights).argmax(axis=1)


@mobula.remote
class Predictor:
    """Holds the model: its weights are a view into the object store, which all predictors of a node share."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, seed: int, size: int) -> Any:
        return self.model.predict(np.random.default_rng(seed).normal(size=(size, self.model.weights.shape[0])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictors", type=int, default=2)
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--size", type=int, default=64)
    args = parser.parse_args()
    with mobula.init():
        model = mobula.put(Model())
        pool = ActorPool([Predictor.options(num_cpus=0).remote(model) for _ in range(args.predictors)])
        counts = np.zeros(2048, dtype=int)
        for labels in pool.map_unordered(lambda actor, seed: actor.predict.remote(seed, args.size), range(args.batches)):
            counts += np.bincount(labels, minlength=len(counts))
        print(f"{counts.sum()} predictions, {np.count_nonzero(counts)} of {len(counts)} classes were seen")


if __name__ == "__main__":
    main()
