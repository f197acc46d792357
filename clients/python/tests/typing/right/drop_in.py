"""A right program: one for Ray that annotates its actors as Ray's documentation has it. It is checked as a strict one, and run."""

from __future__ import annotations

import mobula.ray as ray
from mobula.ray.actor import ActorClass, ActorProxy


@ray.remote
def add(x: int, y: int) -> int:
    return x + y


class Summer:
    def __init__(self, start: int) -> None:
        self.start = start

    @ray.method
    def total(self, x: int, y: int) -> int:
        return self.start + x + y


Summers: ActorClass[Summer] = ray.remote(Summer)


@ray.remote
def use(summer: ActorProxy[Summer]) -> int:
    ref: ray.ObjectRef[int] = summer.total.remote(1, 2)
    return ray.get(ref)


if __name__ == "__main__":
    actor: ActorProxy[Summer] = Summers.remote(1)
    assert ray.get(use.remote(actor)) == 4
    assert ray.get(add.remote(1, 2)) == 3
    ray.kill(actor)
    print("done")
