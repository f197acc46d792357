"""Errors: what get raises for what a task raised, and what the runtime's own errors say."""

from __future__ import annotations

import asyncio
import linecache
import os
import pickle
import random
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mobula import _errors, _values, exceptions
from mobula._gen import value_pb2 as pb
from mobula.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    CrossLanguageError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RaySystemError,
    RayTaskError,
    TaskCancelledError,
    UnserializableException,
    WorkerCrashedError,
)

_CRASHED = "The worker died unexpectedly while executing this task: "


def raised(f: Callable[[], object]) -> BaseException:
    """Return what f raises, with f's frame first in its traceback."""
    try:
        f()
    except BaseException as e:
        assert e.__traceback__ is not None
        return e.with_traceback(e.__traceback__.tb_next)
    raise AssertionError("nothing was raised")


def sent(f: Callable[[], object], **options: Any) -> Any:
    """Return what get raises for a task that does f."""
    options = {"function": "m.f", "title": "f", "pid": 7, **options}
    return _errors.unpack_error(_errors.pack_exception(raised(f), **options))


def throw(e: BaseException) -> Any:
    raise e


class Odd(Exception):
    """Python cannot unpickle it: args has fewer elements than __init__ wants."""

    def __init__(self, a: object, b: object) -> None:
        super().__init__(a)
        self.b = b


class Code(Exception):
    """Python unpickles it with another text: __init__ makes the text of its argument."""

    def __init__(self, code: int) -> None:
        super().__init__(f"failed with {code}")
        self.code = code

    @property
    def doubled(self) -> int:
        return self.code * 2


class Locked(Exception):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()
        self.answer = 42


class Slotted(Exception):
    __slots__ = ("detail",)

    def __init__(self, detail: int) -> None:
        super().__init__()
        self.detail = detail


class KeywordOnly(Exception):
    def __init__(self, *, where: str) -> None:
        super().__init__()
        self.where = where

    def __str__(self) -> str:
        return f"at {self.where}"


class OwnReduce(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("both")
        self.a, self.b = a, b

    def __reduce__(self) -> tuple[Any, ...]:
        return OwnReduce, (self.a, self.b)


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


# What a task raised.


def test_an_error_is_caught_as_the_users_class_and_as_a_task_error() -> None:
    e = sent(lambda: throw(ValueError("bad", 3)))
    assert isinstance(e, ValueError)
    assert isinstance(e, RayTaskError)
    assert isinstance(e, RayError)
    assert type(e).__name__ == "RayTaskError(ValueError)"
    assert type(e).__module__ == "mobula.exceptions"
    assert e.args == ("bad", 3)
    assert repr(e) == "RayTaskError(ValueError)(ValueError('bad', 3))"
    assert type(e.cause) is ValueError
    assert (e.function_name, e.pid, e.proctitle) == ("m.f", 7, "mobula::f")
    assert e.as_instanceof_cause() is e
    assert type(sent(lambda: throw(ValueError()))) is type(e)


def test_the_text_is_the_remote_traceback_with_the_users_frames() -> None:
    def inner() -> None:
        {}["key"]

    e = sent(lambda: inner())
    lines = str(e).split("\n")
    assert lines[0] == "mobula::f() (pid=7)"
    assert lines[-1] == "KeyError: 'key'"
    assert ", in inner" in str(e)
    assert '{}["key"]' in str(e)
    assert e.traceback_str.rstrip() == str(e)


def test_the_text_names_the_actor() -> None:
    e = sent(lambda: throw(ValueError()), title="Counter.add", actor_id="ab" * 16, actor_repr="Counter(3)")
    assert str(e).startswith(f"mobula::Counter.add() (pid=7, actor_id={'ab' * 16}, repr=Counter(3))\n")
    assert e.proctitle == "mobula::f"


def test_the_title_is_colored_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    e = sent(lambda: throw(ValueError("x")))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert str(e).startswith("\x1b[36mmobula::f()\x1b[39m (pid=7)\n")
    monkeypatch.setenv("NO_COLOR", "1")
    assert str(e).startswith("mobula::f() (pid=7)\n")


def test_frames_of_mobula_and_of_cloudpickle_are_left_out() -> None:
    def task() -> None:
        _values.pack(threading.Lock())

    e = sent(task)
    assert isinstance(e, TypeError)
    assert os.path.dirname(exceptions.__file__) not in str(e)
    assert "cloudpickle.py" not in str(e)
    assert "_values.pack(threading.Lock())" in str(e)


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (Odd(1, 2), {"b": 2}),
        (Code(5), {"code": 5, "doubled": 10}),
        (Slotted(4), {"detail": 4}),
        (KeywordOnly(where="here"), {"where": "here"}),
        (OwnReduce(1, 2), {"a": 1, "b": 2}),
        (Locked("m"), {"answer": 42}),
        (FileNotFoundError(2, "No such file", "/x"), {"errno": 2, "filename": "/x", "strerror": "No such file"}),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "why"), {"start": 0, "reason": "why", "object": b"\xff"}),
        (StopIteration(7), {"value": 7}),
        (ImportError("m", name="n", path="p"), {"name": "n", "path": "p"}),
        (SyntaxError("m", ("f.py", 3, 1, "text")), {"lineno": 3, "filename": "f.py"}),
        (KeyError("k"), {}),
        (GeneratorExit("g"), {}),
        (asyncio.CancelledError("c"), {}),
        (ValueError(np.arange(3)), {}),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else "",
)
def test_exceptions_come_with_all_that_they_carry(error: BaseException, attributes: dict[str, Any]) -> None:
    e = sent(lambda: throw(error))
    assert isinstance(e, type(error))
    assert isinstance(e, RayTaskError)
    for name, value in attributes.items():
        assert getattr(e, name) == value
        assert getattr(e.cause, name) == value
    assert type(e.cause) is type(error)
    assert str(e.cause) == str(error)
    assert repr(e.args) == repr(error.args)


def test_what_had_to_be_left_behind_is_said() -> None:
    e = sent(lambda: throw(Locked("m")))
    assert "(mobula: attribute 'lock' of the exception was left behind: cannot pickle '_thread.lock' object)" in str(e)
    e = sent(lambda: throw(ValueError(threading.Lock(), 2)))
    assert e.args[0].startswith("<unlocked _thread.lock")
    assert "argument of the exception was replaced by its text" in str(e)


def test_an_exception_whose_class_cannot_be_sent_is_a_task_error_with_its_text() -> None:
    lock = threading.Lock()

    class Captures(Exception):
        held = lock

    e = sent(lambda: throw(Captures("text")))
    assert isinstance(e, RayTaskError)
    assert isinstance(e, UnserializableException)
    assert "Captures: text" in str(e)
    assert "could not be sent: TypeError" in str(e)


def test_an_exception_that_cannot_be_read_here_still_tells_its_story(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = _errors.pack_exception(raised(lambda: throw(Odd(1, 2))), function="m.f", title="f")
    monkeypatch.delattr(sys.modules[__name__], "Odd")
    e = _errors.unpack_error(packed)
    assert isinstance(e, RayTaskError)
    assert isinstance(e, UnserializableException)
    assert "Odd: 1" in str(e)
    assert "cannot be unpickled here" in e.cause.__notes__[0]


def test_local_classes_arrive_by_value() -> None:
    class Local(Exception):
        code = 3

    e = sent(lambda: throw(Local("local")))
    assert isinstance(e, Local)
    assert e.code == 3


@pytest.mark.parametrize("error", [NoText(), BaseException("base"), Exception(), ValueError("\ud800")])
def test_odd_texts_do_no_harm(error: BaseException) -> None:
    e = sent(lambda: throw(error))
    assert isinstance(e, RayTaskError)
    assert isinstance(e, type(error)) or type(error) is BaseException
    assert str(e).startswith("mobula::f() (pid=7)")


def test_classes_that_refuse_to_be_combined_stay_reachable_as_the_cause() -> None:
    e = sent(lambda: throw(Final("final")))
    assert type(e) is RayTaskError
    assert isinstance(e.cause, Final)


class Final(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("final")


def test_causes_contexts_and_notes_arrive() -> None:
    def explicit() -> None:
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError as e:
            Odd("why", 1).add_note("not this one")
            raise ValueError("outer") from Odd(e, 2)

    e = sent(explicit)
    assert isinstance(e.cause.__cause__, Odd)
    assert "direct cause of the following exception" in str(e)
    assert str(e).count("mobula::f() (pid=7)") >= 1

    def implicit() -> None:
        try:
            {}["k"]
        except KeyError:
            error = ValueError("outer")
            error.add_note("a note")
            raise error  # noqa: B904

    e = sent(implicit)
    assert isinstance(e.cause.__context__, KeyError)
    assert e.cause.__cause__ is None
    assert e.__notes__ == ["a note"]
    assert str(e).endswith("ValueError: outer\na note")
    assert "During handling of the above exception" in str(e)

    def suppressed() -> None:
        try:
            {}["k"]
        except KeyError:
            raise ValueError("outer") from None

    assert "KeyError" not in str(sent(suppressed))


def test_a_cycle_of_causes_ends() -> None:
    a, b = ValueError("a"), KeyError("b")
    a.__cause__, b.__cause__ = b, a
    e = sent(lambda: throw(a))
    assert isinstance(e.cause.__cause__, KeyError)


def test_exception_groups_can_be_split() -> None:
    e = sent(lambda: throw(ExceptionGroup("g", [ValueError(1), Odd("k", 2), ExceptionGroup("h", [OSError(2, "no")])])))
    assert isinstance(e, ExceptionGroup)
    assert isinstance(e, RayTaskError)
    assert "ExceptionGroup: g (3 sub-exceptions)" in str(e)
    assert "ValueError: 1" in str(e)
    caught: list[BaseException] = []
    try:
        try:
            raise e
        except* ValueError as group:
            caught.extend(group.exceptions)
    except ExceptionGroup as rest:
        assert len(rest.exceptions) == 2
    assert [repr(c) for c in caught] == ["ValueError(1)"]


def test_a_group_with_interrupts_is_a_task_error_with_the_group_as_cause() -> None:
    e = sent(lambda: throw(BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError(1)])))
    assert isinstance(e, RayTaskError)
    assert isinstance(e.cause, BaseExceptionGroup)


def test_a_failure_seen_through_a_nested_get_keeps_the_users_class_and_both_tracebacks() -> None:
    inner = sent(lambda: throw(Code(5)), title="inner", function="m.inner")
    outer = sent(lambda: throw(inner), title="outer", function="m.outer", pid=8)
    assert isinstance(outer, Code)
    assert outer.code == 5
    assert type(outer.cause) is Code
    text = str(outer)
    assert text.startswith("mobula::outer() (pid=8)\n")
    assert "mobula.exceptions.RayTaskError(Code): mobula::inner() (pid=7)" in text
    assert text.endswith("Code: failed with 5")
    assert outer.error.cause.function == "m.inner"


def test_an_error_of_the_runtime_seen_through_a_nested_get_is_caught_by_its_class() -> None:
    died = _errors.error_of_kind(pb.ERROR_KIND_ACTOR_DIED, "actor m.A (%s) died: it was killed" % ("ab" * 16))
    e = sent(lambda: throw(died))
    assert isinstance(e, ActorDiedError)
    assert isinstance(e, RayTaskError)
    assert e.actor_id == "ab" * 16
    e = sent(lambda: throw(GetTimeoutError("late")))
    assert isinstance(e, TimeoutError)
    assert isinstance(e, GetTimeoutError)


def test_errors_can_be_pickled_by_anyone() -> None:
    for f in (lambda: throw(Odd(1, 2)), lambda: throw(BaseException("b")), lambda: throw(OSError(2, "m", "f"))):
        e = sent(f)
        for again in (pickle.loads(pickle.dumps(e)), _values.unpack(*_values.pack(e)[:4])):
            assert type(again) is type(e)
            assert str(again) == str(e)
            assert repr(again.args) == repr(e.args)
            assert type(again.cause) is type(e.cause)


def test_interrupts_mean_that_the_task_was_cancelled() -> None:
    e = sent(lambda: throw(KeyboardInterrupt()), task_id=b"t" * 16)
    assert isinstance(e, TaskCancelledError)
    assert isinstance(e, RayTaskError)
    assert str(e).endswith("KeyboardInterrupt")
    e = sent(lambda: throw(asyncio.CancelledError()), cancelled=True)
    assert isinstance(e, TaskCancelledError)
    v = pb.ErrorValue.FromString(_errors.pack_exception(KeyboardInterrupt()))
    assert v.kind == pb.ERROR_KIND_CANCELLED


def test_sys_exit_is_the_end_of_the_worker() -> None:
    e = sent(lambda: sys.exit(3))
    assert isinstance(e, WorkerCrashedError)
    assert str(e).startswith(f"{_CRASHED}the task ended its process with sys.exit(3)\nmobula::f() (pid=7)\n")
    assert "sys.exit()" in str(sent(lambda: sys.exit()))


def test_errors_are_bounded() -> None:
    e = sent(lambda: throw(ValueError("x" * 10_000_000)))
    assert type(e).__name__ in ("RayTaskError(ValueError)", "RayTaskError(UnserializableException)")
    assert len(str(e)) < 70_000
    assert "bytes are left out" in str(e)

    def recursion() -> None:
        recursion()

    for f in (lambda: throw(ValueError(np.zeros(10**6))), recursion):
        packed = _errors.pack_exception(raised(f), function="f" * 10_000)
        assert len(packed) < 500 << 10
    e = sent(lambda: throw(ValueError(np.zeros(10**6))))
    assert isinstance(e, RayTaskError)
    assert "was not sent: its pickle has 8" in str(e)


def test_names_for_retries_are_those_of_all_classes() -> None:
    names = _errors.exception_names(FileNotFoundError())
    assert names == [
        "builtins.FileNotFoundError",
        "builtins.OSError",
        "builtins.Exception",
        "builtins.BaseException",
    ]
    e = sent(lambda: throw(Code(5)))
    names = _errors.exception_names(e)
    assert _errors.class_name(Code) in names
    assert _errors.class_name(RayTaskError) in names


# What a worker sends is read in another process.


def test_exceptions_of_main_arrive_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(
        textwrap.dedent(
            """
            import sys
            from mobula import _errors
            class Mine(Exception):
                def __init__(self, a, b): super().__init__(a); self.b = b
            def f(): raise Mine(1, 2)
            try: f()
            except Exception as e: sys.stdout.buffer.write(_errors.pack_exception(e, function="__main__.f"))
            """
        )
    )
    environment = {"PYTHONPATH": str(Path(exceptions.__file__).parents[1])}
    done = subprocess.run([sys.executable, tmp_path / "worker.py"], env=environment, capture_output=True, timeout=60)
    e: Any = _errors.unpack_error(done.stdout)
    assert type(e).__name__ == "RayTaskError(Mine)", done.stderr.decode()
    assert e.b == 2


# What the runtime says.


@pytest.mark.parametrize("kind", sorted(set(pb.ErrorKind.values())))
def test_every_kind_is_an_error_with_the_runtimes_words(kind: int) -> None:
    v = pb.ErrorValue(
        kind=kind,  # type: ignore[arg-type]
        message="what happened",
        hint="do this",
        call_site="a.py:3",
        execution=pb.EXECUTION_NOT_EXECUTED,
    )
    e: Any = _errors.unpack_error(v.SerializeToString())
    assert isinstance(e, RayError)
    assert "what happened" in str(e)
    assert e.error == v
    assert (e.execution, e.call_site) == ("not executed", "a.py:3")
    if kind != pb.ERROR_KIND_TASK_FAILED:
        assert "do this" in str(e)
        assert "a.py:3" in str(e)
    again = pickle.loads(pickle.dumps(e))
    assert type(again) is type(e)
    assert str(again) == str(e)
    assert again.error == v


def test_kinds_without_a_class_of_ray_are_also_pythons_own() -> None:
    for kind, python in (
        (pb.ERROR_KIND_DEADLINE_EXCEEDED, TimeoutError),
        (pb.ERROR_KIND_NOT_FOUND, ValueError),
        (pb.ERROR_KIND_ALREADY_EXISTS, ValueError),
        (pb.ERROR_KIND_INVALID_ARGUMENT, ValueError),
        (pb.ERROR_KIND_BAD_VALUE, TypeError),
    ):
        assert isinstance(_errors.error_of_kind(kind, "m"), python)


def test_a_crash_shows_the_last_lines_of_output() -> None:
    e = _errors.from_error_value(
        pb.ErrorValue(
            kind=pb.ERROR_KIND_WORKER_CRASHED,
            message="the worker was ended by SIGSEGV (segmentation fault)",
            stack="Fatal Python error: Segmentation fault\n  File x\n",
        )
    )
    assert isinstance(e, WorkerCrashedError)
    assert str(e) == (
        f"{_CRASHED}the worker was ended by SIGSEGV (segmentation fault)\n"
        "Its last lines of output were:\n"
        "    Fatal Python error: Segmentation fault\n"
        "      File x"
    )


def test_a_constructor_that_failed_is_shown_by_calls_to_its_actor() -> None:
    failed = pb.ErrorValue.FromString(_errors.pack_exception(raised(lambda: throw(Code(5))), function="m.A.__init__", title="A.__init__", pid=7))
    v = pb.ErrorValue(kind=pb.ERROR_KIND_ACTOR_DIED, message=f"actor m.A ({'ab' * 16}) died: Code: failed with 5", cause=failed)
    e: Any = _errors.from_error_value(v)
    assert type(e) is ActorDiedError
    assert str(e).startswith("The actor died because of an error raised in its creation task, mobula::A.__init__() (pid=7)")
    assert str(e).endswith("Code: failed with 5")
    assert e.actor_id == "ab" * 16
    assert e.actor_init_failed
    assert isinstance(e.cause.cause, Code)
    assert isinstance(e, RayActorError)


def test_an_actor_that_died_says_why() -> None:
    v = pb.ErrorValue(
        kind=pb.ERROR_KIND_ACTOR_DIED,
        message=f'actor m.A "name" ({"ab" * 16}) died: the worker exited by itself with code 5',
        cause=pb.ErrorValue(kind=pb.ERROR_KIND_WORKER_CRASHED, message="…", stack="last words\n"),
        hint="it has no restarts left",
        pid=7,
    )
    e: Any = _errors.from_error_value(v)
    assert str(e).startswith(
        f"The actor died unexpectedly before finishing this task.\n\tclass_name: A\n\tactor_id: {'ab' * 16}\n\tpid: 7\n\tname: name\n"
        "The actor is dead because its worker process has died: the worker exited by itself with code 5\n"
    )
    assert "exited by itself with code 5" in str(e)
    assert "    last words" in str(e)
    assert not e.actor_init_failed
    v.kind = pb.ERROR_KIND_ACTOR_UNAVAILABLE
    e = _errors.from_error_value(v)
    assert isinstance(e, ActorUnavailableError)
    assert e.actor_id == "ab" * 16


def test_a_failed_argument_shows_the_failure_and_is_caught_as_it() -> None:
    cause = pb.ErrorValue.FromString(_errors.pack_exception(raised(lambda: throw(Code(5))), function="m.dep", title="dep", pid=7))
    v = pb.ErrorValue(kind=pb.ERROR_KIND_TASK_FAILED, function="m.f", message="m.f did not run because its argument failed", cause=cause)
    e: Any = _errors.from_error_value(v)
    assert isinstance(e, Code)
    assert e.code == 5
    assert str(e).startswith("mobula::f()\n  At least one of the input arguments for this task could not be computed:\n")
    assert "mobula::dep() (pid=7)" in str(e)
    v.kind = v.cause.kind = pb.ERROR_KIND_OBJECT_LOST
    assert isinstance(_errors.from_error_value(v), exceptions.ObjectLostError)


def test_an_error_of_a_go_function_is_a_cross_language_error() -> None:
    v = pb.ErrorValue(kind=pb.ERROR_KIND_TASK_FAILED, function="linalg.Multiply", message="shapes differ", pid=9, stack="goroutine 1\n")
    v.chain.add(message="shapes differ", type_name="*linalg.ShapeError")
    e: Any = _errors.from_error_value(v)
    assert isinstance(e, CrossLanguageError)
    assert isinstance(e, RayTaskError)
    assert e.type_name == "*linalg.ShapeError"
    assert str(e) == "mobula::Multiply() (pid=9)\nshapes differ\ngoroutine 1"


def test_each_get_raises_an_exception_of_its_own() -> None:
    packed = _errors.pack_exception(ValueError("x"))
    assert _errors.unpack_error(packed) is not _errors.unpack_error(packed)


def test_hostile_errors_are_read_or_refused_as_errors() -> None:
    good = _errors.pack_exception(raised(lambda: throw(Code(5))), function="m.f")
    for seed in range(300):
        r = random.Random(seed)
        b = bytearray(good)
        for _ in range(4):
            # Only the frame around the pickle is hostile here: whoever may send pickles may run code anyway.
            at = r.randrange(len(b))
            if not 1200 > at > 60:
                b[at] = r.randrange(256)
        assert isinstance(_errors.unpack_error(bytes(b)), BaseException)


# Classes that user code makes.


def test_task_errors_can_be_made_by_hand() -> None:
    e = RayTaskError("fn", "tb text", ValueError(1))
    assert str(e) == "tb text"
    assert e.pid == os.getpid()
    both = e.as_instanceof_cause()
    assert isinstance(both, ValueError)
    assert str(both) == "tb text"


MADE: list[tuple[Any, str]] = [
    (exceptions.RayActorError(), "The actor experienced an error before finishing this task."),
    (exceptions.RayActorError("ab", "gone"), "gone"),
    (exceptions.ActorDiedError(), "The actor died unexpectedly before finishing this task."),
    (exceptions.ActorUnavailableError("msg", b"\xab"), "The actor ab is unavailable: msg"),
    (exceptions.WorkerCrashedError(), "The worker died unexpectedly while executing this task."),
    (exceptions.TaskCancelledError(), ""),
    (exceptions.TaskCancelledError("t"), "Task: t was cancelled."),
    (exceptions.GetTimeoutError("late"), "late"),
    (exceptions.NodeDiedError("m"), "m"),
    (exceptions.OutOfMemoryError("m"), "m"),
    (exceptions.TaskUnschedulableError("m"), "The task is not schedulable: m"),
    (exceptions.ActorUnschedulableError("m"), "The actor is not schedulable: m"),
    (exceptions.RaySystemError("m"), "System error: m"),
    (exceptions.RaySystemError("m", "tb"), "System error: m\ntraceback: tb"),
    (exceptions.RayChannelTimeoutError("m"), "System error: m"),
    (exceptions.RuntimeEnvSetupError(), "Failed to set up runtime environment."),
    (exceptions.RuntimeEnvSetupError("pip"), "Failed to set up runtime environment.\npip"),
    (exceptions.ObjectLostError("ab", None, "a.py:3"), "Failed to retrieve object ab. It was made at a.py:3."),
    (exceptions.ObjectReconstructionFailedError("ab", reason_message="why"), "Failed to retrieve object ab."),
    (exceptions.ReferenceCountingAssertionError("ab", None, ""), "Failed to retrieve object ab."),
    (exceptions.ObjectStoreFullError("1 GB"), "The object store is full of objects that are in use.\n1 GB"),
    (exceptions.PendingCallsLimitExceeded("m"), "m"),
    (exceptions.AsyncioActorExit(), ""),
    (exceptions.UnserializableException("tb"), "The exception could not be read here"),
    (exceptions.CrossLanguageError("m"), "m"),
    (exceptions.AuthenticationError("m"), "m"),
    (exceptions.ActorAlreadyExistsError("m"), "m"),
    (exceptions.RpcError("m", 3), "m"),
]


@pytest.mark.parametrize(("error", "text"), MADE, ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else "")
def test_classes_have_rays_constructors_and_survive_pickling(error: Any, text: str) -> None:
    assert str(error).startswith(text)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.args == error.args
    e = sent(lambda: throw(error))
    assert isinstance(e, type(error))


def test_the_tree_is_rays() -> None:
    assert exceptions.MobulaError is RayError
    for cls, base in (
        (exceptions.ActorDiedError, RayActorError),
        (exceptions.GetTimeoutError, TimeoutError),
        (exceptions.OwnerDiedError, exceptions.ObjectLostError),
        (exceptions.RayChannelError, RaySystemError),
        (exceptions.RayChannelTimeoutError, TimeoutError),
        (exceptions.ReferenceCountingAssertionError, AssertionError),
        (exceptions.ActorAlreadyExistsError, ValueError),
    ):
        assert issubclass(cls, base)
        assert issubclass(cls, RayError)
    assert set(exceptions.__all__) == {c.__name__ for c in exceptions.RAY_EXCEPTION_TYPES} | {"MobulaError"}


def test_tracebacks_show_sources_of_code_that_has_no_file() -> None:
    source = "def g():\n    raise ValueError('in a cell')\n"
    linecache.cache["<cell 1>"] = (len(source), None, source.splitlines(True), "<cell 1>")
    namespace: dict[str, Any] = {}
    exec(compile(source, "<cell 1>", "exec"), namespace)
    assert "raise ValueError('in a cell')" in str(sent(namespace["g"]))


def test_the_error_prints_as_a_python_traceback_does() -> None:
    printed = "".join(traceback.format_exception(raised(lambda: throw(sent(lambda: throw(ValueError("x")))))))
    assert "mobula.exceptions.RayTaskError(ValueError): mobula::f() (pid=7)\n" in printed
    assert printed.rstrip().endswith("ValueError: x")


def test_dual_class_of_memory_error() -> None:
    error = exceptions.RayTaskError("f", "traceback", MemoryError("none left")).as_instanceof_cause()
    assert isinstance(error, MemoryError)
    assert isinstance(error, exceptions.RayTaskError)
    assert error.args == ("none left",)
