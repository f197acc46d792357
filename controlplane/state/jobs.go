package state

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// startJob records a driver's session.
func (s *State) startJob(c *mobulav1.StartJob) *mobulav1.CommandResult {
	if s.jobs.has(string(c.GetJobId())) {
		return refuse(mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS, "job %x exists", c.GetJobId())
	}
	node, refused := s.living(c.GetNode())
	if refused != nil {
		return refused
	}
	s.putJob(&mobulav1.JobRecord{
		JobId:         c.GetJobId(),
		Status:        mobulav1.JobStatus_JOB_STATUS_RUNNING,
		Namespace:     c.GetNamespace(),
		Program:       c.GetProgram(),
		Language:      c.GetLanguage(),
		Pid:           c.GetPid(),
		Node:          node.GetRef(),
		StartedUnixNs: s.now,
	})
	return ok()
}

// finishJob ends a job and tells the nodes.
func (s *State) finishJob(c *mobulav1.FinishJob) *mobulav1.CommandResult {
	job, refused := s.running(c.GetJobId())
	if refused != nil {
		return refused
	}
	if refused := s.roomForEffects(s.nodes.len() - s.deadNodes.len()); refused != nil {
		return refused
	}
	s.endJob(job, c.GetStatus(), c.GetCause())
	return ok()
}

// endJob ends a running job: its actors die, but for detached ones, its lineage is swept, and every living node is told.
func (s *State) endJob(job *mobulav1.JobRecord, status mobulav1.JobStatus, cause *mobulav1.Cause) {
	next := proto.CloneOf(job)
	next.Status, next.Cause = status, cause
	next.EndedUnixNs, next.EndedRevision = s.now, s.advance()
	s.putJob(next)

	id := string(job.GetJobId())
	ended := &mobulav1.Cause{Kind: mobulav1.CauseKind_CAUSE_KIND_JOB_ENDED, Message: fmt.Sprintf("job %x ended", id)}
	for _, key := range s.liveActorsByJob.keys(id, s.actors.len()) {
		if actor, _ := s.actors.get(key[idSize:]); !actor.GetDetached() {
			s.buryActor(actor, ended)
			s.releaseName(actor)
		}
	}
	if len(s.lineageByJob.keys(id, 1)) > 0 {
		s.sweeping += id
	}
	for _, node := range s.nodes.from("") {
		if !dead(node) {
			s.addEffect(&mobulav1.Effect{Node: node.GetRef(), Kind: &mobulav1.Effect_EndJob{EndJob: &mobulav1.EndJobEffect{JobId: job.GetJobId()}}})
		}
	}
}

// running returns the record of a job that runs, or says why there is none.
func (s *State) running(id []byte) (*mobulav1.JobRecord, *mobulav1.CommandResult) {
	job, exists := s.jobs.get(string(id))
	switch {
	case !exists:
		return nil, refuse(mobulav1.ResultCode_RESULT_CODE_NOT_FOUND, "job %x is not known", id)
	case job.GetStatus() != mobulav1.JobStatus_JOB_STATUS_RUNNING:
		return nil, refuse(mobulav1.ResultCode_RESULT_CODE_ENDED, "job %x has ended: %s", id, job.GetCause().GetMessage())
	}
	return job, nil
}

// forgetJob deletes the record of an ended job, and its functions, by its key in endedJobs.
func (s *State) forgetJob(key string) {
	id := key[len(key)-idSize:]
	s.endedJobs.delete(key)
	s.jobs.delete(id)
	s.deleted(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_JOBS, Id: []byte(id)})
	for _, key := range s.functions.keys(id, s.functions.len()) {
		s.functions.delete(key)
		s.deleted(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_FUNCTIONS, Id: []byte(id), Name: key[idSize:]})
	}
}

func (s *State) putJob(j *mobulav1.JobRecord) {
	s.put(&mobulav1.Record{Kind: &mobulav1.Record_Job{Job: j}})
}

// putFunctions records functions of a running job, all or none.
func (s *State) putFunctions(c *mobulav1.PutFunctions) *mobulav1.CommandResult {
	id := c.GetFunctions()[0].GetJobId()
	if _, refused := s.running(id); refused != nil {
		return refused
	}
	added := make(map[string]*mobulav1.FunctionRecord)
	for _, f := range c.GetFunctions() {
		key := string(id) + f.GetName()
		old, exists := s.functions.get(key)
		if !exists {
			old, exists = added[key]
		}
		switch {
		case !exists:
			added[key] = f
		case old.GetFingerprint() != f.GetFingerprint() || old.GetLanguage() != f.GetLanguage():
			return refuse(mobulav1.ResultCode_RESULT_CODE_CONFLICT, "function %q is recorded with fingerprint %016x (%v), not %016x (%v)",
				f.GetName(), old.GetFingerprint(), old.GetLanguage(), f.GetFingerprint(), f.GetLanguage())
		}
	}
	most := int(s.limits.GetFunctionsPerJob())
	if have := len(s.functions.keys(string(id), most)); have+len(added) > most {
		return refuse(mobulav1.ResultCode_RESULT_CODE_LIMIT_EXCEEDED, "job %x would have %d functions, the most is %d", id, have+len(added), most)
	}
	for _, f := range c.GetFunctions() {
		if key := string(id) + f.GetName(); added[key] == f {
			s.put(&mobulav1.Record{Kind: &mobulav1.Record_Function{Function: f}})
		}
	}
	return ok()
}
