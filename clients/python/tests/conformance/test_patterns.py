"""The programs that introductions to Ray show, shortened."""

from __future__ import annotations

import asyncio
import collections
import random
import time

import pytest
import ray

pytestmark = pytest.mark.usefixtures("cluster")


def test_monte_carlo_pi_with_a_progress_actor():
    @ray.remote(num_cpus=0)
    class Progress:
        def __init__(self, total):
            self.total, self.done = total, {}

        def report(self, task, points):
            self.done[task] = points

        def get(self):
            return sum(self.done.values()) / self.total

    @ray.remote
    def sample(points, task, progress):
        inside = 0
        source = random.Random(task)
        for i in range(points):
            if source.random() ** 2 + source.random() ** 2 <= 1:
                inside += 1
            if (i + 1) % 1000 == 0:
                progress.report.remote(task, i + 1)
        return inside

    progress = Progress.remote(4 * 5000)
    results = [sample.remote(5000, i, progress) for i in range(4)]
    assert 3.0 < 4 * sum(ray.get(results)) / 20_000 < 3.3
    while ray.get(progress.get.remote()) < 1:
        time.sleep(0.01)


def test_synchronous_parameter_server():
    np = pytest.importorskip("numpy")

    @ray.remote(num_cpus=0)
    class Server:
        def __init__(self, size):
            self.weights = np.zeros(size)

        def apply(self, *gradients):
            self.weights = self.weights + 0.5 * np.mean(gradients, axis=0)
            return self.weights

        def get(self):
            return self.weights

    @ray.remote(num_cpus=0)
    class Worker:
        def __init__(self, target):
            self.target = target

        def gradient(self, weights):
            return self.target - weights

    target = np.arange(1000.0)
    server, workers = Server.remote(1000), [Worker.remote(target) for _ in range(2)]
    weights = server.get.remote()
    for _ in range(30):
        weights = server.apply.remote(*[w.gradient.remote(weights) for w in workers])
    np.testing.assert_allclose(ray.get(weights), target, atol=1e-4)


def test_map_reduce():
    text = ["the quick brown fox", "the lazy dog", "the fox"]

    @ray.remote(num_returns=2)
    def mapper(line):
        parts = collections.defaultdict(collections.Counter)
        for word in line.split():
            parts[ord(word[0]) % 2][word] += 1
        return parts[0], parts[1]

    @ray.remote
    def reducer(*counters):
        return sum(counters, collections.Counter())

    mapped = [mapper.remote(line) for line in text]
    counted = sum(ray.get([reducer.remote(*[m[i] for m in mapped]) for i in range(2)]), collections.Counter())
    assert counted == collections.Counter(" ".join(text).split())


def test_tree_of_actors_under_a_supervisor():
    @ray.remote(num_cpus=0)
    class Worker:
        def work(self, x):
            return x * x

    @ray.remote(num_cpus=0)
    class Supervisor:
        def __init__(self, n):
            self.workers = [Worker.remote() for _ in range(n)]

        def work(self, items):
            return ray.get([self.workers[i % len(self.workers)].work.remote(x) for i, x in enumerate(items)])

    assert ray.get(Supervisor.remote(3).work.remote(range(7))) == [x * x for x in range(7)]


def test_pending_tasks_are_limited_with_wait():
    @ray.remote
    def work(i):
        return i

    pending, results = [], []
    for i in range(60):
        if len(pending) >= 8:
            ready, pending = ray.wait(pending, num_returns=1)
            results += ray.get(ready)
        pending.append(work.remote(i))
    assert sorted(results + ray.get(pending)) == list(range(60))


def test_merge_sort_of_nested_tasks():
    @ray.remote
    def sort(items):
        if len(items) <= 16:
            return sorted(items)
        middle = len(items) // 2
        left, right = ray.get([sort.remote(items[:middle]), sort.remote(items[middle:])])
        out = []
        while left and right:
            out.append(left.pop(0) if left[0] <= right[0] else right.pop(0))
        return out + left + right

    items = random.Random(1).sample(range(1000), 100)
    assert ray.get(sort.remote(items)) == sorted(items)


def test_tree_reduction():
    @ray.remote
    def add(a, b):
        return a + b

    refs = [ray.put(i) for i in range(32)]
    while len(refs) > 1:
        refs = [add.remote(a, b) for a, b in zip(refs[::2], refs[1::2], strict=True)]
    assert ray.get(refs[0]) == sum(range(32))


def test_pipeline_of_actors():
    @ray.remote(num_cpus=0)
    class Stage:
        def __init__(self, add):
            self.add = add

        def run(self, x):
            return x + self.add

    stages = [Stage.remote(10**i) for i in range(3)]
    outputs = []
    for x in range(10):
        for stage in stages:
            x = stage.run.remote(x)
        outputs.append(x)
    assert ray.get(outputs) == [x + 111 for x in range(10)]


def test_game_of_life_on_a_grid_of_actors():
    size = 6

    @ray.remote(num_cpus=0)
    class Row:
        def __init__(self, cells):
            self.cells = cells

        def get(self):
            return self.cells

        def step(self, above, below):
            def count(i):
                around = [row[(i + d) % size] for row in (above, self.cells, below) for d in (-1, 0, 1)]
                return sum(around) - self.cells[i]

            self.next = [int(count(i) == 3 or (c and count(i) == 2)) for i, c in enumerate(self.cells)]

        def commit(self):
            self.cells = self.next
            return self.cells

    grid = [[0] * size for _ in range(size)]
    for r, c in ((0, 1), (1, 2), (2, 0), (2, 1), (2, 2)):
        grid[r][c] = 1
    rows = [Row.remote(cells) for cells in grid]
    for _ in range(4 * size):
        state = [row.get.remote() for row in rows]
        ray.get([rows[i].step.remote(state[i - 1], state[(i + 1) % size]) for i in range(size)])
        ray.get([row.commit.remote() for row in rows])
    assert ray.get([row.get.remote() for row in rows]) == grid
    for row in rows:
        ray.kill(row)


def test_lock_free_counter_shared_by_tasks():
    @ray.remote(num_cpus=0)
    class Counter:
        def __init__(self):
            self.value = 0

        def add(self):
            self.value += 1

        def get(self):
            return self.value

    @ray.remote(num_cpus=0.25)
    def work(counter):
        for _ in range(25):
            counter.add.remote()
        return ray.get(counter.get.remote())

    counter = Counter.remote()
    ray.get([work.remote(counter) for _ in range(8)])
    assert ray.get(counter.get.remote()) == 200


def test_semaphore_as_an_async_actor():
    @ray.remote(num_cpus=0)
    class Semaphore:
        def __init__(self, n):
            self.semaphore = asyncio.Semaphore(n)
            self.inside = self.most = 0

        async def enter(self):
            await self.semaphore.acquire()
            self.inside += 1
            self.most = max(self.most, self.inside)

        async def leave(self):
            self.inside -= 1
            self.semaphore.release()

        async def peak(self):
            return self.most

    @ray.remote(num_cpus=0.25)
    def work(semaphore):
        ray.get(semaphore.enter.remote())
        time.sleep(0.01)
        ray.get(semaphore.leave.remote())

    semaphore = Semaphore.remote(2)
    ray.get([work.remote(semaphore) for _ in range(8)])
    assert ray.get(semaphore.peak.remote()) <= 2


def test_streaming_pipeline_over_generators():
    @ray.remote
    def read(n):
        for i in range(n):
            yield list(range(i))

    @ray.remote
    def length(batch):
        return len(batch)

    assert sum(ray.get([length.remote(batch) for batch in read.remote(10)])) == sum(range(10))


def test_actors_that_fail_are_replaced():
    from ray.exceptions import RayActorError

    @ray.remote(num_cpus=0)
    class Fragile:
        def work(self, x):
            if x == 3 and random.SystemRandom().random() < 2:
                import os

                os._exit(1)
            return x

    actor, done = Fragile.remote(), []
    for x in range(6):
        try:
            done.append(ray.get(actor.work.remote(x)))
        except RayActorError:
            actor = Fragile.remote()
    assert done == [0, 1, 2, 4, 5]


def test_broadcast_of_one_large_object():
    np = pytest.importorskip("numpy")

    @ray.remote(num_cpus=0.5)
    def total(array, i):
        return float(array[i])

    ref = ray.put(np.arange(1_000_000, dtype=np.float64))
    assert ray.get([total.remote(ref, i) for i in range(40)]) == [float(i) for i in range(40)]


def test_ten_thousand_tasks():
    @ray.remote(num_cpus=0.5)
    def f(i):
        return i

    assert sum(ray.get([f.remote(i) for i in range(10_000)])) == sum(range(10_000))


def test_many_callers_of_many_actors():
    @ray.remote(num_cpus=0)
    class Echo:
        def __init__(self):
            self.last = collections.defaultdict(lambda: -1)

        def echo(self, caller, i):
            assert self.last[caller] == i - 1, "calls of one caller are in order"
            self.last[caller] = i
            return i

    @ray.remote(num_cpus=0.5)
    def call(actors, caller):
        return sum(ray.get([a.echo.remote(caller, i) for i in range(100) for a in actors]))

    actors = [Echo.remote() for _ in range(3)]
    assert ray.get([call.remote(actors, c) for c in range(4)]) == [3 * sum(range(100))] * 4
