"""One task in a worker: from an Execute message to its results or its error."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import partial
from itertools import islice
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from mobula import _values
from mobula._context import Capture, process
from mobula._refs import DynamicObjectRefGenerator, ObjectRef
from mobula._remote import DYNAMIC
from mobula._values import Packed

if TYPE_CHECKING:
    import asyncio

    from mobula._context import Task
    from mobula._session import Session


class ActorExit(SystemExit):
    """Raised by ``exit_actor`` in the calling method."""


class Entry:
    """What this process knows of a template: the code behind it, and what its results are."""

    __slots__ = (
        "backpressure", "capture", "dynamic", "function", "group", "max_calls", "name", "plain", "portable", "retries", "returns", "runs",
        "short", "streaming", "with_gpus",
    )  # fmt: skip

    def __init__(self, template: Any, function: Callable[..., Any] | None) -> None:
        self.function = function  # of a method: None, for it is looked up in the instance
        self.name: str = template.name
        self.short = template.name.rpartition(".")[2]
        self.returns = max(1, template.num_returns)
        self.streaming = template.options.streaming
        self.backpressure = template.options.generator_backpressure
        self.dynamic = template.description == DYNAMIC
        self.portable = template.portable
        self.group: str = template.options.concurrency_group
        self.max_calls = template.options.max_calls
        group = template.options.scheduling_strategy.placement_group
        self.capture = Capture(group.placement_group_id) if group.capture_child_tasks else None
        self.runs = 0
        self.retries: bool = template.options.retry_exceptions
        self.plain = self.returns == 1 and not (self.streaming or self.dynamic or self.portable)  # one result, packed as it is
        self.with_gpus = template.options.HasField("num_gpus")


def load(s: Session, template: Any) -> Callable[..., Any]:
    """Returns the function or class of a template: its code that was put, or what its name says."""
    if template.definition:
        stored = s.get_one(template.definition, None)
        made = _values.unpack(stored.format, stored.meta, stored.buffers, stored.refs)
        if stored.format == _values.ERROR:
            raise made  # type: ignore[misc]
        return made  # type: ignore[return-value]
    from mobula import _portable

    return _portable.find(template.name)


_empty = b""


def _no_arguments() -> bytes:
    """Returns what a call without arguments carries, which need not be unpickled."""
    global _empty
    if not _empty:
        from mobula._session import encode_value

        _empty = encode_value(_values.pack_args((), {})[0])
    return _empty


def arguments(s: Session, m: Any) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments of a call. Arrays among them are read-only views of shared memory."""
    if m.args == _no_arguments():
        return [], {}
    stored = s.open_value(m.args, m)
    args = _values.unpack_args(stored.format, stored.meta, stored.buffers, stored.refs)
    for r in m.resolved:
        stored = s.open_value(r.value, m, r.object_id)
        args[r.position] = _values.unpack(stored.format, stored.meta, stored.buffers, stored.refs)
    if not m.keywords:
        return args, {}
    n = len(args) - len(m.keywords)
    return args[:n], dict(zip(m.keywords, args[n:], strict=True))


_NONE = [_values.pack(None)]


def results(s: Session, entry: Entry, value: Any, m: Any) -> list[Packed]:
    """Returns what a function returned, packed; runs a generator to its end."""
    kind = type(value)
    if entry.plain and kind is not GeneratorType and kind is not AsyncGeneratorType:
        return _NONE if value is None else [_values.pack(value)]
    if kind is AsyncGeneratorType and entry.function is not None:  # of a function: a method's runs in the loop of its actor
        value = _in_turn(value)
    if entry.streaming:
        count = _stream(s, entry, value, m)
        return [_values.pack(count if entry.portable else None)]  # Ray's completed() is a ref of None
    if entry.dynamic:
        return [_values.pack(DynamicObjectRefGenerator(_put_items(s, entry, value, m)))]
    if type(value) is GeneratorType and not (entry.portable and entry.returns == 1):  # another language is told that it cannot have it
        return _first_items(entry, value, m)
    if entry.returns == 1:
        return [_pack(value, entry, "the result")]
    return [_pack(v, entry, f"result {i}") for i, v in enumerate(_split(entry, value))]


def _pack(value: Any, entry: Entry, what: str) -> Packed:
    """Packs a result for whoever called."""
    if not entry.portable:
        return _values.pack(value)
    from mobula import _portable

    return _portable.pack(value, what)


def _split(entry: Entry, value: Any) -> list[Any]:
    """Returns the parts of a value, as many as were asked for."""
    if not isinstance(value, Iterator):
        len(value)  # a TypeError for what has no parts
    values = list(value)
    _check_count(entry, len(values))
    return values


def _check_count(entry: Entry, count: int) -> None:
    if count != entry.returns:
        raise ValueError(f"Task returned {count} objects, but num_returns={entry.returns}.")


def _first_items(entry: Entry, value: Iterator[Any], m: Any) -> list[Packed]:
    """Returns the first items of a generator. When it yields too few, or fails, the error stands for those that are missing.

    It is the error of the whole task when there is no item at all, or when the task may run again because of it.
    """
    items: list[Packed] = []
    try:
        for item in islice(value, entry.returns):
            items.append(_pack(item, entry, f"result {len(items)}"))
        _check_count(entry, len(items))
    except Exception as e:  # the user's, or of too few
        if not items or entry.retries:
            raise
        error = pack_error(e, entry, m, None, process.worker.actor_repr if process.worker is not None else "")
        items += [Packed(_values.ERROR, error, [], [], len(error))] * (entry.returns - len(items))
    return items


def _in_turn(items: AsyncGenerator[Any, None]) -> Iterator[Any]:
    """Iterates over an async generator, in an event loop of its own."""
    import asyncio

    end = object()

    async def following() -> Any:
        return await anext(items, end)

    with asyncio.Runner() as runner:
        while (item := runner.run(following())) is not end:
            yield item


def _stream(s: Session, entry: Entry, value: Any, m: Any) -> int:
    """Yields the items of a generator, and returns their number."""
    index = 0
    for item in value:
        index += 1
        s.yield_item(m, index, _pack(item, entry, f"item {index}"))
        del item
        if entry.backpressure > 0:
            s.wait_consumed(m, index - entry.backpressure + 1)
    return index


async def stream_async(s: Session, entry: Entry, value: AsyncIterator[Any], m: Any) -> list[Packed]:
    """Yields the items of an async generator; returns the result of its task."""
    import asyncio

    loop = asyncio.get_running_loop()
    index = 0
    async for item in value:
        index += 1
        while not s.may_yield(m, index):
            await _told(loop, partial(s.on_yield, m, index))
        s.yield_item(m, index, _pack(item, entry, f"item {index}"))
        del item
        await asyncio.sleep(0)  # so that a generator that never waits does not keep the others out
        while entry.backpressure > 0 and not s.may_go_on(m, index - entry.backpressure + 1):
            await _told(loop, partial(s.on_consumed, m, index - entry.backpressure + 1))
    return [_values.pack(index if entry.portable else None)]


def _told(loop: asyncio.AbstractEventLoop, ask: Callable[[Callable[[], object]], None]) -> asyncio.Future[None]:
    """Returns what is done when a session has called the function that ask gives to it."""
    future: asyncio.Future[None] = loop.create_future()
    ask(partial(loop.call_soon_threadsafe, _fulfil, future))  # pyright: ignore[reportArgumentType]
    return future


def _fulfil(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _put_items(s: Session, entry: Entry, value: Any, m: Any) -> list[ObjectRef[Any]]:
    """Puts the items of a generator; an error of it is the last one's."""
    refs: list[ObjectRef[Any]] = []
    try:
        for item in value:
            refs.append(ObjectRef(s.put(_pack(item, entry, f"item {len(refs)}")), s))
    except Exception as e:  # the user's
        error = pack_error(e, entry, m, None, "")
        refs.append(ObjectRef(s.put(Packed(_values.ERROR, error, [], [], len(error))), s))
    return refs


def pack_error(e: BaseException, entry: Entry, m: Any, task: Task | None, actor_repr: str) -> bytes:
    """Returns the error value of what a task raised."""
    from mobula import _errors

    if entry.portable:
        from mobula import _portable

        if isinstance(e, _portable.RefusalError):
            return e.encode(entry, m, os.getpid())
    name = entry.name
    title = entry.short
    if m.actor_id:
        owner = name.rpartition(".")[0].rpartition(".")[2] if name.count(".") > 1 else ""
        title = f"{owner}.{entry.short}" if owner and owner != "<locals>" and entry.function is None else f"{entry.short}.__init__"
    return _errors.pack_exception(
        e,
        function=name,
        task_id=m.task_id,
        attempt=m.attempt,
        title=title,
        actor_id=m.actor_id.hex(),
        actor_repr=actor_repr,
        cancelled=task is not None and task.cancelled,
    )
