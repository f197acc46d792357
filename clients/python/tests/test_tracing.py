"""Spans of Python join those of the node: one trace from the call to the run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk.trace")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

CLIENT, SERVER = 3, 2  # kinds of spans in OTLP


class Collector:
    """An OpenTelemetry collector that takes traces over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.changed = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                import gzip

                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Prints nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def take(self, request: Any) -> None:
        with self.changed:
            for resource_spans in request.resource_spans:
                resource = {a.key: a.value.string_value for a in resource_spans.resource.attributes}
                for scope in resource_spans.scope_spans:
                    self.spans += [(span, resource) for span in scope.spans]
            self.changed.notify_all()

    def named(self, name: str, count: int = 1) -> list[Any]:
        """Waits for that many spans of a name and returns them."""
        deadline = time.monotonic() + 30
        with self.changed:
            while len(found := [span for span, _ in self.spans if span.name == name]) < count:
                assert self.changed.wait(deadline - time.monotonic()), f"no {count} spans {name!r} among {sorted({s.name for s, _ in self.spans})}"
        return found

    def resource(self, span: Any) -> dict[str, str]:
        return next(resource for s, resource in self.spans if s is span)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def run(program: str, tmp_path: Path, binary: str, **variables: str) -> str:
    """Runs a program to its end and returns what it prints."""
    script = tmp_path / "program.py"
    script.write_text(program)
    env = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    env |= {"MOBULA_BINARY": binary, "OTEL_BSP_SCHEDULE_DELAY": "50", **variables}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


PROGRAM = """
import time, mobula
mobula.init(num_cpus=2)

@mobula.remote
def inner(x):
    return x + 1

@mobula.remote
def outer(x):
    return mobula.get(inner.remote(x))

@mobula.remote(max_retries=0)
def fails():
    raise ValueError("no luck")

@mobula.remote
class Counter:
    def __init__(self):
        self.n = 0
    def add(self, x):
        self.n += x
        return self.n

@mobula.remote
class Async:
    async def double(self, x):
        return 2 * mobula.get(inner.remote(x)) if False else 2 * x

assert mobula.get(outer.remote(1)) == 2
counter = Counter.options(name="counter").remote()
assert mobula.get(counter.add.remote(5)) == 5
twice = Async.remote()
assert mobula.get([twice.double.remote(i) for i in range(3)]) == [0, 2, 4]
try:
    mobula.get(fails.remote())
except ValueError:
    pass

@mobula.remote
def named():
    return 1

class Mute(Exception):
    def __str__(self):
        raise KeyError("not even this")

@mobula.remote(max_retries=0)
def fails_to_say():
    raise Mute

mobula.get(named.options(name="the one").remote())
try:
    mobula.get(fails_to_say.remote())
except Exception:
    pass
time.sleep(1)  # workers export what they have every 50 ms
"""


def test_a_trace_goes_from_the_call_through_the_node_to_the_run(collector: Collector, tmp_path: Path, binary: str) -> None:
    run(PROGRAM, tmp_path, binary, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    for function in ("outer", "inner"):
        (submit,), (queue,), (ran,) = (collector.named(f"{what} __main__.{function}") for what in ("submit", "queue", "run"))
        assert queue.parent_span_id == submit.span_id
        assert ran.parent_span_id == queue.span_id
        assert submit.trace_id == queue.trace_id == ran.trace_id
        assert (submit.kind, ran.kind) == (CLIENT, SERVER)
        assert submit.start_time_unix_nano <= ran.start_time_unix_nano <= ran.end_time_unix_nano
        assert attributes(ran)["mobula.function"] == attributes(submit)["mobula.function"] == f"__main__.{function}"
        assert attributes(ran)["mobula.task.id"] == attributes(submit)["mobula.task.id"] == attributes(queue)["mobula.task.id"]
        assert attributes(ran)["mobula.attempt"] == 1
        assert attributes(ran)["mobula.node.id"] == attributes(queue)["mobula.node.id"]
        assert attributes(queue)["mobula.call_site"] == attributes(submit)["mobula.call_site"]
        assert attributes(submit)["mobula.call_site"].startswith(f"{tmp_path}/program.py:")
        for key in ("mobula.node.id", "mobula.job.id"):
            assert len(attributes(submit)[key]) == 32
            assert attributes(submit)[key] == attributes(queue)[key] == attributes(ran)[key]
        assert attributes(ran)["mobula.worker.id"] == attributes(queue)["mobula.worker.id"]
        assert 0 < attributes(ran)["mobula.queue_ns"] <= queue.end_time_unix_nano - queue.start_time_unix_nano + 1_000_000
        assert attributes(queue)["mobula.queue_ns"] == attributes(ran)["mobula.queue_ns"]
        assert not submit.events and not ran.events
        assert collector.resource(ran)["mobula.role"] == "worker"
        assert collector.resource(ran)["service.name"] == "mobula"
    outer_run, inner_submit = collector.named("run __main__.outer")[0], collector.named("submit __main__.inner")[0]
    assert inner_submit.parent_span_id == outer_run.span_id
    assert inner_submit.trace_id == outer_run.trace_id
    assert collector.resource(inner_submit)["mobula.role"] == "worker"
    assert collector.resource(collector.named("submit __main__.outer")[0])["mobula.role"] == "driver"


def test_actors_and_failures_have_spans_too(collector: Collector, tmp_path: Path, binary: str) -> None:
    run(PROGRAM, tmp_path, binary, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    (creation,), (call,) = collector.named("run __main__.Counter"), collector.named("run __main__.Counter.add")
    assert attributes(creation)["mobula.actor.id"] == attributes(call)["mobula.actor.id"]
    assert creation.trace_id != call.trace_id
    doubles = collector.named("run __main__.Async.double", 3)
    assert {d.parent_span_id for d in doubles} == {q.span_id for q in collector.named("queue __main__.Async.double", 3)}
    (failed,) = collector.named("run __main__.fails")
    assert failed.status.code == 2
    assert failed.status.message == "ValueError: no luck"
    (event,) = failed.events
    assert event.name == "exception"
    about = {a.key: a.value.string_value for a in event.attributes}
    assert (about["exception.type"], about["exception.message"]) == ("builtins.ValueError", "no luck")
    assert about["exception.stacktrace"].endswith(" in fails\n")
    assert attributes(call)["mobula.incarnation"] == 1
    (named,) = collector.named("run __main__.named")
    assert attributes(named)["mobula.name"] == attributes(collector.named("queue __main__.named")[0])["mobula.name"] == "the one"
    for what in ("submit", "queue", "run"):
        assert attributes(collector.named(f"{what} __main__.Counter")[0])["mobula.name"] == "counter"
    assert attributes(collector.named("queue __main__.Counter.add")[0])["mobula.name"] == "counter"
    (broken,) = collector.named("run __main__.fails_to_say")
    assert "__str__ raises" in broken.status.message


def test_spans_of_user_code_are_below_its_run(collector: Collector, tmp_path: Path, binary: str) -> None:
    program = """
import time, mobula
mobula.init(num_cpus=1)

@mobula.remote
def inner():
    return 1

@mobula.remote
def work():
    from opentelemetry import trace
    with trace.get_tracer("mine").start_as_current_span("my step"):
        return mobula.get(inner.remote())

mobula.get(work.remote())
time.sleep(1)
"""
    run(program, tmp_path, binary, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    (ran,), (step,), (submit,) = (collector.named(name) for name in ("run __main__.work", "my step", "submit __main__.inner"))
    assert step.parent_span_id == ran.span_id
    assert submit.parent_span_id == step.span_id


def test_a_driver_with_a_provider_of_its_own_gets_its_spans_there(tmp_path: Path, binary: str) -> None:
    program = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import mobula

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
mobula.init(num_cpus=1)

@mobula.remote
def traced():
    return mobula.get(child.remote())

@mobula.remote
def child():
    task = __import__("mobula._context", fromlist=["current"]).current.get()
    return task.execute.traceparent

with trace.get_tracer("mine").start_as_current_span("all of it") as span:
    traceparent = mobula.get(traced.remote())
names = {s.name: s for s in exporter.get_finished_spans()}
submit = names["submit __main__.traced"]
assert submit.parent.span_id == span.get_span_context().span_id
# The workers make no spans, but pass the trace on.
assert traceparent.split("-")[1] == format(submit.context.trace_id, "032x"), traceparent
"""
    run(program, tmp_path, binary)


def test_nothing_is_imported_while_tracing_is_off(tmp_path: Path, binary: str) -> None:
    program = """
import sys, mobula
mobula.init(num_cpus=1)

@mobula.remote
def modules():
    return [m for m in sys.modules if m.startswith("opentelemetry")]

assert mobula.get(modules.remote()) == []
assert not [m for m in sys.modules if m.startswith("opentelemetry")]
from mobula._context import process
assert process.tracer is None
"""
    run(program, tmp_path, binary)
    run(program, tmp_path, binary, OTEL_SDK_DISABLED="true", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    run(program, tmp_path, binary, OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")


def test_what_cannot_be_honoured_is_said_and_the_program_runs_on(tmp_path: Path, binary: str) -> None:
    program = "import mobula; mobula.init(num_cpus=1); print('result', mobula.get(mobula.remote(lambda: 5).remote()))"
    assert "result 5" in (output := run(program, tmp_path, binary, OTEL_TRACES_EXPORTER="zipkin"))
    assert "OTEL_TRACES_EXPORTER" in output
    output = run(program, tmp_path, binary, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
    assert "result 5" in output


def test_a_collector_that_does_not_answer_delays_nothing(tmp_path: Path, binary: str) -> None:
    program = "import mobula; mobula.init(num_cpus=1); print('result', mobula.get(mobula.remote(lambda: 5).remote()))"
    start = time.monotonic()
    assert "result 5" in run(program, tmp_path, binary, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
    assert time.monotonic() - start < 20


HOOK = """
import sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

def setup():
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: span.name + "\\n")))
    trace.set_tracer_provider(provider)
"""


def test_a_startup_hook_sets_tracing_up_in_the_driver_and_in_workers(tmp_path: Path, binary: str) -> None:
    (tmp_path / "my_tracing.py").write_text(HOOK)
    program = """
import time, mobula
mobula.init(num_cpus=1, _tracing_startup_hook="my_tracing:setup")

@mobula.remote
def hooked():
    return 1

mobula.get(hooked.remote())
time.sleep(0.5)
"""
    output = run(program, tmp_path, binary)
    assert "submit __main__.hooked" in output
    assert "run __main__.hooked" in output
    failing = "import mobula\ntry:\n    mobula.init(_tracing_startup_hook={!r})\nexcept {}:\n    assert not mobula.is_initialized()\n"
    run(failing.format("no_such_module:f", "ImportError"), tmp_path, binary)
    run(failing.format("nonsense", "ValueError"), tmp_path, binary)
