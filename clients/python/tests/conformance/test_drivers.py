"""Several drivers on one cluster."""

from __future__ import annotations


def test_a_second_driver_joins_and_finds_detached_actors(program):
    done = program("""
        import os, subprocess, sys
        import ray

        context = ray.init(num_cpus=2, namespace="shared")

        @ray.remote(num_cpus=0)
        class Store:
            def __init__(self):
                self.items = {}
            def set(self, k, v):
                self.items[k] = v
            def get(self, k):
                return self.items.get(k)

        store = Store.options(name="store", lifetime="detached").remote()
        mortal = Store.options(name="mortal").remote()
        ray.get([store.set.remote("a", 1), mortal.set.remote("a", 2)])

        other = '''
        import sys
        import ray
        ray.init(address=sys.argv[1], namespace="shared")
        store = ray.get_actor("store")
        assert ray.get(store.get.remote("a")) == 1
        ray.get(store.set.remote("b", "from the other"))
        assert ray.get(ray.get_actor("mortal").get.remote("a")) == 2

        @ray.remote(num_cpus=0)
        class Own:
            def f(self):
                return "own"

        own = Own.options(name="own").remote()
        assert ray.get(own.f.remote()) == "own"
        kept = Own.options(name="kept", lifetime="detached").remote()
        assert ray.get(kept.f.remote()) == "own"

        @ray.remote
        def g(x):
            return x + 1

        assert ray.get(g.remote(1)) == 2
        print("other done")
        '''
        import textwrap
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "other.py")
        with open(path, "w") as file:
            file.write(textwrap.dedent(other))
        address = context.address_info["address"]
        second = subprocess.run([sys.executable, path, address], capture_output=True, text=True, timeout=50)
        print(second.stdout[-500:], second.stderr[-2000:] if second.returncode else "")
        assert second.returncode == 0
        print(ray.get(store.get.remote("b")))
        print(ray.get(ray.get_actor("kept").f.remote()))
        import time
        for _ in range(100):
            try:
                ray.get_actor("own")
            except ValueError:
                print("own is gone")
                break
            time.sleep(0.1)
    """)
    lines = done.stdout.splitlines()
    assert lines[-3:] == ["from the other", "own", "own is gone"], done.stdout + done.stderr


def test_many_processes_of_one_program_each_with_a_cluster(program):
    done = program("""
        import multiprocessing, ray

        def work(i):
            ray.init(num_cpus=1)

            @ray.remote
            def f():
                return i

            out = ray.get(f.remote())
            ray.shutdown()
            return out

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(2) as pool:
                print(pool.map(work, range(2)))
    """)
    assert done.stdout.splitlines()[-1] == "[0, 1]", done.stdout + done.stderr
