"""What the integration tests call in Python from Go."""

import datetime
import os
import threading
import time

import mobula


def echo(x):
    return x


def kind(x):
    """The name of the class that a value of Go has become."""
    return f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")


@mobula.remote
def add(a, b=100):
    return a + b


def greet(person):
    return {"Text": f"hello {person['Name']}", "Length": len(person["Name"])}


def array(n):
    import array

    return array.array("d", [i / 2 for i in range(n)])


def moment():
    return datetime.datetime(2026, 2, 3, 4, 5, 6, 789000, tzinfo=datetime.timezone.utc)


class BoxError(ValueError):
    """An error of a module of the user's."""


def fail(text):
    raise BoxError(text) from KeyError("inner")


def fail_oddly():
    class LocalError(Exception):
        def __init__(self):
            super().__init__("not to be pickled")
            self.lock = threading.Lock()

    raise LocalError


def unsendable():
    return {"fine": 1, "parts": [1, 2, {3}]}


def numbers():
    yield 1


def sleep(path):
    """Says that it runs, and goes on until it is interrupted."""
    with open(path, "w") as f:
        f.write("runs")
    try:
        while True:
            time.sleep(0.01)
    except BaseException as e:
        with open(path, "w") as f:
            f.write(type(e).__name__)
        raise


def crash():
    os._exit(3)


def total(refs):
    """Takes a list of refs of Go, which are refs here."""
    return sum(mobula.get(refs))


def put(x):
    return [mobula.put(x)]


def call_go(name, *args):
    """Calls a function of the program that drives the job."""
    return mobula.get(mobula.go_function(name).remote(*args))


def call_method(handle, name, *args):
    """Calls a method of an actor of any language."""
    return mobula.get(getattr(handle, name).remote(*args))


class Counter:
    def __init__(self, start=0):
        if start < 0:
            raise BoxError("starts below zero")
        self.n = start

    def add(self, n):
        self.n += n
        return self.n

    def fail(self):
        raise BoxError("of the counter")


@mobula.remote
class Decorated(Counter):
    pass


class Async:
    async def double(self, x):
        return 2 * x
