"""A parameter server on numpy: workers compute gradients of a linear model, an actor keeps its weights.

Runs in step (all gradients of a round together) and then asynchronously (each gradient when it comes), and shows that both learn.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import mobula

Array = Any
TRUE_WEIGHTS = np.arange(1.0, 9.0)


@mobula.remote
class ParameterServer:
    """Keeps the weights."""

    def __init__(self, rate: float) -> None:
        self.weights, self.rate = np.zeros_like(TRUE_WEIGHTS), rate

    def apply(self, *gradients: Array) -> Array:
        self.weights -= self.rate * np.mean(gradients, axis=0)
        return self.weights

    def get_weights(self) -> Array:
        return self.weights


@mobula.remote
class DataWorker:
    """Has a part of the data and computes gradients on batches of it."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)

    def gradient(self, weights: Array) -> Array:
        x = self.draw.normal(size=(256, len(weights)))
        y = x @ TRUE_WEIGHTS + self.draw.normal(scale=0.1, size=256)
        return 2 * x.T @ (x @ weights - y) / len(y)


def loss(weights: Array) -> float:
    return float(np.abs(weights - TRUE_WEIGHTS).max())


def synchronous(workers: list[Any], rounds: int) -> float:
    server = ParameterServer.remote(0.1)
    weights = server.get_weights.remote()
    for _ in range(rounds):
        weights = server.apply.remote(*[worker.gradient.remote(weights) for worker in workers])  # nothing waits here
    return loss(mobula.get(weights))


def asynchronous(workers: list[Any], rounds: int) -> float:
    server = ParameterServer.remote(0.05)
    weights = server.get_weights.remote()
    running = {worker.gradient.remote(weights): worker for worker in workers}
    for _ in range(rounds * len(workers)):
        (ready,), _ = mobula.wait(list(running))
        worker = running.pop(ready)
        running[worker.gradient.remote(server.apply.remote(ready))] = worker
    return loss(mobula.get(server.get_weights.remote()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=60)
    args = parser.parse_args()
    with mobula.init():
        workers = [DataWorker.options(num_cpus=0).remote(seed) for seed in range(args.workers)]
        print(f"in step: largest error of a weight {synchronous(workers, args.rounds):.3f}")
        print(f"asynchronous: largest error of a weight {asynchronous(workers, args.rounds):.3f}")


if __name__ == "__main__":
    main()
