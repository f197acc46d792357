"""Monte-Carlo pi: many tasks draw points, one actor shows how far they are."""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

import mobula


@mobula.remote
class Progress:
    """Counts the points that the tasks report."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, [0] * 1000

    def report(self, task: int, points: int) -> None:
        self.done[task] = points

    def fraction(self) -> float:
        return sum(self.done) / self.total


@mobula.remote
def sample(task: int, points: int, progress: Any) -> int:
    """Returns how many of so many random points of the unit square lie inside the circle."""
    draw = random.Random(task)
    inside = 0
    for i in range(points):
        if draw.random() ** 2 + draw.random() ** 2 <= 1:
            inside += 1
        if i % 100_000 == 99_999:
            progress.report.remote(task, i + 1)
    progress.report.remote(task, points)
    return inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--points", type=int, default=200_000, help="for each task")
    args = parser.parse_args()
    with mobula.init():
        total = args.tasks * args.points
        progress = Progress.remote(total)
        refs = [sample.remote(task, args.points, progress) for task in range(args.tasks)]
        while mobula.get(progress.fraction.remote()) < 1:
            print(f"{mobula.get(progress.fraction.remote()):.0%}")
            time.sleep(0.2)
        print(f"pi is about {4 * sum(mobula.get(refs)) / total:.4f}")


if __name__ == "__main__":
    main()
