package service

import (
	"cmp"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/telemetry"
)

// trace records how long a task queued, and makes that span the parent of its run.
func (n *Node) trace(t *task, e *mobulav1.Execute) {
	if !n.tracer.Enabled() {
		return
	}
	start := n.startedAt.UnixNano()
	s := &n.scratchSpan
	*s = telemetry.Span{
		Op: telemetry.Queue, Traceparent: e.GetTraceparent(), Tracestate: e.GetTracestate(),
		Start: start + t.submitted, ArgsReady: start + t.queued, End: start + n.now,
		Attributes: telemetry.Attributes{
			Function: t.tmpl.name, Name: t.tmpl.options.GetName(), Task: t.id(), Job: t.tmpl.job.id, Attempt: t.attempt, Worker: t.worker.id,
			CallSite: t.from.callSite(t.callSite), Queued: time.Duration(e.GetQueuedNs()),
		},
	}
	if t.attempt > 1 {
		s.Start = start + t.queued
	}
	if a := t.actor; a != nil {
		s.Actor, s.Incarnation, s.Link = a.id, a.incarnation, a.traceparent
		s.Name = cmp.Or(s.Name, a.name)
	}
	e.Traceparent, e.Tracestate = n.tracer.Emit(s)
	if t.actor != nil && t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR {
		t.actor.traceparent = e.GetTraceparent()
	}
}
