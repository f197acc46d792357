"""An asynchronous pipeline: batches go through two stages as they become ready, with a bound on how many are under way."""

from __future__ import annotations

import argparse
import random
import time

import mobula


@mobula.remote
def load(batch: int) -> list[int]:
    """The first stage; how long it takes differs."""
    time.sleep(random.Random(batch).uniform(0.001, 0.02))
    return list(range(batch * 100, batch * 100 + 100))


@mobula.remote
def process(values: list[int]) -> int:
    """The second stage, which begins when its own batch is loaded."""
    return sum(value * value for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--in-flight", type=int, default=8)
    args = parser.parse_args()
    with mobula.init():
        total, running, next_batch, most = 0, [], 0, 0
        while running or next_batch < args.batches:
            while next_batch < args.batches and len(running) < args.in_flight:
                running.append(process.remote(load.remote(next_batch)))
                next_batch += 1
            most = max(most, len(running))
            ready, running = mobula.wait(running)
            total += sum(mobula.get(ready))
    expected = sum(value * value for value in range(args.batches * 100))
    print(f"{args.batches} batches, at most {most} under way; sum {total}, as expected: {total == expected}")


if __name__ == "__main__":
    main()
