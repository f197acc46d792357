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


# Its standard error goes to a file, in which it can look for what it waits for; told prints what stands there at the end.
_FAILING = """
    import os, tempfile, time, ray
    folder = tempfile.mkdtemp()
    errors = os.path.join(folder, "errors")
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    ray.init(num_cpus=2)

    def until(condition):
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    def said():
        with open(errors) as file:
            return file.read()

    def told(words):
        until(lambda: all(one in said() for one in words))
        print(said())

    @ray.remote(num_cpus=0, max_retries=0)
    def fail(words, gate=None):
        if gate:
            until(lambda: os.path.exists(gate))
        open(os.path.join(folder, words), "w").close()
        raise ValueError(words)

    @ray.remote(num_cpus=0, max_retries=0)
    def same(x):
        return x

    @ray.remote(num_cpus=0)
    class Actor:
        def fail(self, words):
            raise KeyError(words)

    def failed(words):
        until(lambda: os.path.exists(os.path.join(folder, words)))
        ray.get(same.remote(1))  # and what a task made before has come

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
    failed("dropped later")
    del ref
    same.remote(fail.remote("of an argument"))
    told(["dropped at once", "of a method", "dropped later", "of an argument"])
    """
    )
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"Unhandled error \(suppress with '\w+_IGNORE_UNHANDLED_ERRORS=1'\): ", done.stdout)) == 4, done.stdout
    for words in ("ValueError: dropped at once", "KeyError: 'of a method'", "ValueError: dropped later", "ValueError: of an argument"):
        assert words in done.stdout


def test_errors_that_somebody_knows_of_are_not_told_of(program):
    done = program(
        _FAILING
        + """
    taken(fail.remote("got"))
    gate = os.path.join(folder, "gate")
    of_an_argument = same.remote(fail.remote("of an argument", gate))
    open(gate, "w").close()
    taken(of_an_argument)
    ray.wait([fail.remote("waited for")])
    try:
        fail.remote("future").future().result()
    except ValueError:
        pass
    held = fail.remote("held")
    ref = fail.remote("cancelled", os.path.join(folder, "none"))
    ray.cancel(ref, force=True)
    try:
        ray.get(ref)
    except ray.exceptions.RayError:
        pass
    del ref
    failed("held")
    fail.remote("dropped")
    told(["ValueError: dropped"])
    """
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Unhandled error") == 1, done.stdout


def test_telling_of_errors_that_nobody_gets_can_be_switched_off(program):
    done = program(
        _FAILING
        + """
    fail.remote("dropped")
    failed("dropped")
    print("end", said())
    """,
        RAY_IGNORE_UNHANDLED_ERRORS="1",
    )
    assert done.returncode == 0, done.stdout
    assert "end" in done.stdout
    assert "Unhandled" not in done.stdout + done.stderr
