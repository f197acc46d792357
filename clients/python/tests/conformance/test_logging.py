"""What workers print, and where it is seen."""

from __future__ import annotations

import re


def test_prints_and_logs_of_workers_come_to_the_driver_with_a_prefix(program):
    done = program("""
        import logging, sys, time, ray
        ray.init(num_cpus=1)

        @ray.remote
        def speak():
            print("out loud")
            print("in error", file=sys.stderr)
            logging.getLogger("own").warning("a warning of the worker")

        @ray.remote
        class Speaker:
            def speak(self):
                print("by an actor")

        @ray.remote
        class Called:
            def __init__(self, n):
                self.n = n
            def __repr__(self):
                return f"Called-{self.n}"
            def speak(self):
                print("by its own name")

        ray.get(speak.remote())
        speakers = [Speaker.remote(), Called.remote(5)]
        ray.get([s.speak.remote() for s in speakers])
        time.sleep(1.5)
    """)
    both = done.stdout + done.stderr
    assert re.search(r"\(speak pid=\d+\).*out loud", both), both
    assert re.search(r"\(speak pid=\d+\).*in error", both), both
    assert re.search(r"\(speak pid=\d+\).*a warning of the worker", both), both
    assert re.search(r"\(Speaker pid=\d+\).*by an actor", both), both
    assert re.search(r"\(Called-5 pid=\d+\).*by its own name", both), both


def test_log_to_driver_can_be_switched_off(program):
    done = program("""
        import time, ray
        ray.init(num_cpus=1, log_to_driver=False)

        @ray.remote
        def speak():
            print("unheard words")

        ray.get(speak.remote())
        time.sleep(0.8)
        print("end")
    """)
    assert done.stdout.splitlines()[-1] == "end", done.stderr
    assert "unheard words" not in done.stdout + done.stderr


def test_repeated_lines_of_many_workers_are_shown_once(program):
    done = program("""
        import time, ray
        ray.init(num_cpus=4)

        @ray.remote
        class Speaker:
            def speak(self):
                print("the same words")

        speakers = [Speaker.options(num_cpus=0).remote() for _ in range(4)]
        ray.get([s.speak.remote() for s in speakers])
        time.sleep(7)
    """)
    both = done.stdout + done.stderr
    shown = [line for line in both.splitlines() if "the same words" in line]
    assert 1 <= len(shown) <= 2, both


def test_many_lines(program):
    done = program("""
        import time, ray
        ray.init(num_cpus=1)

        @ray.remote
        def speak():
            for i in range(500):
                print(f"line {i} of many")

        ray.get(speak.remote())
        time.sleep(2)
    """, RAY_DEDUP_LOGS="0")  # fmt: skip
    both = done.stdout + done.stderr
    assert both.count("of many") >= 490, both[-2000:]


_FAILING = """
    import sys, time, ray
    ray.init(num_cpus=2)

    @ray.remote(num_cpus=0, max_retries=0)
    def fail(words, seconds=0):
        time.sleep(seconds)
        raise ValueError(words)

    @ray.remote(num_cpus=0, max_retries=0)
    def same(x):
        return x

    @ray.remote(num_cpus=0)
    class Actor:
        def fail(self, words):
            raise KeyError(words)

    def taken(ref):
        try:
            return ray.get(ref)
        except ValueError:
            return None
"""


def test_errors_that_nobody_gets_are_told_of(program):
    done = program(
        _FAILING
        + """
    fail.remote("dropped at once")
    actor = Actor.remote()
    actor.fail.remote("of a method")
    ref = fail.remote("dropped later")
    time.sleep(1)
    del ref
    same.remote(fail.remote("of an argument"))
    time.sleep(1)
    """
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"Unhandled error \(suppress with '\w+_IGNORE_UNHANDLED_ERRORS=1'\): ", done.stderr)) == 4, done.stderr
    for words in ("ValueError: dropped at once", "KeyError: 'of a method'", "ValueError: dropped later", "ValueError: of an argument"):
        assert words in done.stderr


def test_errors_that_somebody_knows_of_are_not_told_of(program):
    done = program(
        _FAILING
        + """
    taken(fail.remote("got"))
    taken(same.remote(fail.remote("of an argument", 0.3)))
    ray.wait([fail.remote("waited for")])
    try:
        fail.remote("future").future().result()
    except ValueError:
        pass
    held = fail.remote("held")
    ref = fail.remote("cancelled", 30)
    ray.cancel(ref, force=True)
    time.sleep(1)
    del ref
    print("end")
    """
    )
    assert done.stdout.splitlines()[-1] == "end", done.stderr
    assert "Unhandled" not in done.stdout + done.stderr


def test_telling_of_errors_that_nobody_gets_can_be_switched_off(program):
    done = program(
        _FAILING
        + """
    fail.remote("dropped")
    time.sleep(0.5)
    """,
        RAY_IGNORE_UNHANDLED_ERRORS="1",
    )
    assert done.returncode == 0
    assert "Unhandled" not in done.stdout + done.stderr
