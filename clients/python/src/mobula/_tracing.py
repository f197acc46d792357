"""OpenTelemetry spans: ``submit f`` in whoever calls, ``run f`` in the worker, joined with the node's by W3C trace context.

Tracing is on when the program has set a TracerProvider before ``init``, or in its ``_tracing_startup_hook``, or when the ``OTEL_*``
variables name a collector (docs/tracing.md has the rules; every process of a program follows the same ones). It needs
``mobula[otel]``. While it is off, a call costs one look at ``process.tracer``, and nothing of OpenTelemetry is imported.

In a worker the tracer is the program's global one too, so that spans which user code starts are exported as children of its run.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from mobula._context import Task, process

if TYPE_CHECKING:
    from types import FrameType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OTelSpan
    from opentelemetry.trace import TracerProvider

SCOPE = "github.com/mobula-dev/mobula"
"""Name of the instrumentation, the same in every language."""

_CLOSE_MS = 2000
"""How long the end of a process waits for its last spans to be exported."""

_TEXT_MAX, _STACK_MAX = 1024, 8 << 10
"""Longest message of an error in a span, and longest stack."""

_STATE_MAX = 512
"""Longest tracestate that travels."""


class Span:
    """A span under way, and the trace context for what is below it."""

    __slots__ = ("_span", "_token", "traceparent", "tracestate")

    def __init__(self, span: OTelSpan, token: Any = None) -> None:
        self._span: OTelSpan | None = span
        self._token = token
        self.traceparent, self.tracestate = headers(span)

    def end(self, error: BaseException | None = None, task_id: bytes = b"") -> None:
        """Ends the span, as failed if there is an error; in the context in which it began. Ending it again does nothing."""
        span, self._span = self._span, None
        if span is None:
            return
        if self._token is not None:
            from opentelemetry import context

            context.detach(self._token)
        if task_id:
            span.set_attribute("mobula.task.id", task_id.hex())
        if error is not None:
            from opentelemetry.trace import Status, StatusCode

            message = _message(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {message}"[:_TEXT_MAX]))
            span.add_event("exception", {
                "exception.type": f"{type(error).__module__}.{type(error).__qualname__}",
                "exception.message": message[:_TEXT_MAX],
                "exception.stacktrace": _stack(error)[-_STACK_MAX:],
            })  # fmt: skip
        span.end()


def _message(error: BaseException) -> str:
    """Returns what an error says; user code may fail at that."""
    try:
        return str(error)
    except Exception as e:
        return f"<an error whose __str__ raises {type(e).__name__}>"


def _stack(error: BaseException) -> str:
    """Returns where an error was raised, the place itself last. Lines of the source are not in it: they may hold anything."""
    import traceback

    frames = traceback.walk_tb(error.__traceback__)
    return "".join(f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_qualname}\n" for frame, line in frames)


class Tracer:
    """Makes the spans of this process."""

    def __init__(self, provider: TracerProvider, version: str, close: Any = None) -> None:
        """Makes a tracer; ``close`` is called at the end with the longest time in milliseconds that it may take."""
        self._tracer = provider.get_tracer(SCOPE, version)
        self._close = close
        self._own: dict[str, str] = {}

    def set_process(self, node_id: bytes, job_id: bytes, worker_id: bytes = b"") -> None:
        """Says what all spans of this process say: at which node it is, of which job, and which worker."""
        ids = {"mobula.node.id": node_id, "mobula.job.id": job_id, "mobula.worker.id": worker_id}
        self._own = {key: value.hex() for key, value in ids.items() if value}

    def submit(self, function: str, task: Task | None, name: str = "") -> Span:
        """Begins the span of a call; name is what the caller names the task or actor.

        Its parent is the span of the calling code, else the run of the task that calls.
        """
        from opentelemetry import trace

        parent = None
        if task is not None and not trace.get_current_span().get_span_context().is_valid:
            parent = extract(task.execute.traceparent, task.execute.tracestate)
        attributes = {**self._own, "mobula.function": function, "mobula.call_site": _call_site()}
        if name:
            attributes["mobula.name"] = name
        return Span(self._tracer.start_span(f"submit {function}", parent, trace.SpanKind.CLIENT, attributes))

    def run(self, m: Any, task: Task) -> Span:
        """Begins the span of a run, and makes it the current one of the calling code."""
        from opentelemetry import context, trace

        function = task.template.name
        attributes: dict[str, str | int] = {
            **self._own,
            "mobula.function": function,
            "mobula.task.id": task.task_id.hex(),
            "mobula.attempt": max(1, m.attempt),
            "mobula.queue_ns": m.queued_ns,
        }
        if task.template.options.name:
            attributes["mobula.name"] = task.template.options.name
        if task.actor_id:
            attributes["mobula.actor.id"] = task.actor_id.hex()
            attributes["mobula.incarnation"] = m.incarnation
        parent = extract(m.traceparent, m.tracestate)
        span = self._tracer.start_span(f"run {function}", parent, trace.SpanKind.SERVER, attributes)
        token = context.attach(trace.set_span_in_context(span))
        return Span(span, token)

    def close(self) -> None:
        """Exports what is left, if it takes no longer than two seconds."""
        if self._close is not None:
            self._close(_CLOSE_MS)
            self._close = None


def headers(span: OTelSpan) -> tuple[str, str]:
    """Returns the traceparent and the tracestate of a span, empty for one that is none."""
    c = span.get_span_context()
    if not c.is_valid:
        return "", ""
    state = c.trace_state.to_header()
    return f"00-{c.trace_id:032x}-{c.span_id:016x}-{int(c.trace_flags) & 0xFF:02x}", state if len(state) <= _STATE_MAX else ""


def _call_site() -> str:
    """Returns the place of the call that is being made: the first one up the stack that is not Mobula's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "mobula":
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def extract(traceparent: str, tracestate: str) -> Context:
    """Returns the context of a remote span; an empty one for what is malformed."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if not traceparent:
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent, "tracestate": tracestate}, Context())


def open_tracer(role: str) -> Tracer | None:
    """Returns the tracer of this process, ``role`` being "driver" or "worker"; None when tracing is off.

    What cannot be honoured is reported on standard error, and the program runs on without tracing.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    from mobula._version import __version__

    provider = _providers_own()
    if provider is not None:
        return Tracer(provider, __version__)
    try:
        if not _wanted():
            return None
        provider, close = _make_provider(role, __version__)
    except ModuleNotFoundError as e:
        print(f"mobula: no tracing: OpenTelemetry is not installed ({e}): pip install 'mobula[otel]'", file=sys.stderr)
        return None
    except Exception as e:  # a certificate that cannot be read, an end point that is none
        print(f"mobula: no tracing: {e}", file=sys.stderr)
        return None
    if role == "worker":
        from opentelemetry import trace

        trace.set_tracer_provider(provider)
    return Tracer(provider, __version__, close)


def call_hook(hook: str) -> None:
    """Calls the function "module:function", which may set the program's TracerProvider. Its errors are those of the program: they are raised."""
    import importlib

    module, _, name = hook.partition(":")
    if not module or not name:
        raise ValueError(f'the tracing hook is "module:function", not {hook!r}')
    getattr(importlib.import_module(module), name)()


def _providers_own() -> TracerProvider | None:
    """Returns the TracerProvider that the program has set, if it has set one."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    provider: TracerProvider = trace.get_tracer_provider()
    kind = type(provider).__name__
    return None if kind in ("ProxyTracerProvider", "NoOpTracerProvider") else provider


def _env(name: str) -> str:
    """Returns the value of OTEL_EXPORTER_OTLP_TRACES_x or else OTEL_EXPORTER_OTLP_x."""
    return os.environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or ""


def _wanted() -> bool:
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if exporter not in ("", "otlp", "none"):
        raise ValueError(f'OTEL_TRACES_EXPORTER is {exporter!r}: use "otlp" or "none"')
    return exporter == "otlp" or (exporter == "" and bool(_env("ENDPOINT")))


def _make_provider(role: str, version: str) -> tuple[TracerProvider, Any]:
    """Returns a provider that exports by OTLP as the variables say, and what exports the rest within so many milliseconds."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = {"service.name": "mobula", "mobula.role": role, "process.pid": os.getpid(), "host.name": os.uname().nodename}
    own["service.version"] = version
    named = Resource.create().attributes  # what the environment says wins
    if str(named.get("service.name", "")).startswith("unknown_service"):
        named = {k: v for k, v in named.items() if k != "service.name"}
    provider = TracerProvider(resource=Resource({**own, **named}), shutdown_on_exit=False)
    provider.add_span_processor(processor := BatchSpanProcessor(_exporter()))
    return provider, processor.force_flush


def _exporter() -> Any:
    endpoint, protocol = _env("ENDPOINT"), _env("PROTOCOL")
    if not protocol:
        protocol = "http/protobuf" if endpoint.rstrip("/").endswith(":4318") else "grpc"
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GRPCExporter

        return GRPCExporter()
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HTTPExporter

        return HTTPExporter()
    raise ValueError(f'OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}: Python workers know "grpc" and "http/protobuf"')


def begin_submit(function: str, task: Task | None, name: str = "") -> tuple[Span | None, str, str]:
    """Begins the span of a call, if tracing is on; returns it with the trace context that goes with the call."""
    if process.tracer is not None:
        span = process.tracer.submit(function, task, name)
        return span, span.traceparent, span.tracestate
    return (None, "", "") if task is None else (None, task.execute.traceparent, task.execute.tracestate)
