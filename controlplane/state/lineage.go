package state

import mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

// sweepPerEntry is how many lineage records of ended jobs go with each entry of the log. A job may leave a million behind, and
// dropping them at once would hold everybody up; an entry may add no more than MaxBatch a command, so the sweep keeps up.
const sweepPerEntry = 4 * MaxBatch

// putLineage records lineage, all of it or none.
func (s *State) putLineage(c *mobulav1.PutLineage) *mobulav1.CommandResult {
	added := make(map[string]bool, len(c.GetRecords()))
	bytes, job := s.lineageBytes, ""
	for _, r := range c.GetRecords() {
		if string(r.GetJobId()) != job {
			if _, refused := s.running(r.GetJobId()); refused != nil {
				return refused
			}
			job = string(r.GetJobId())
		}
		if task := string(r.GetTaskId()); !added[task] && !s.lineage.has(task) {
			added[task] = true
			bytes += lineageSize(r)
		}
	}
	if bytes > s.limits.GetLineageBytes() {
		return refuse(mobulav1.ResultCode_RESULT_CODE_LIMIT_EXCEEDED, "lineage would take %d bytes, the most is %d", bytes, s.limits.GetLineageBytes())
	}
	for _, r := range c.GetRecords() {
		if task := string(r.GetTaskId()); added[task] {
			delete(added, task) // The first of two records for one task counts.
			s.advance()
			s.setLineage(r)
		}
	}
	return ok()
}

// deleteLineage drops lineage.
func (s *State) deleteLineage(c *mobulav1.DeleteLineage) *mobulav1.CommandResult {
	for ids := c.GetTaskIds(); len(ids) > 0; ids = ids[idSize:] {
		if s.dropLineage(string(ids[:idSize])) {
			s.advance()
		}
	}
	return ok()
}

// sweepLineage drops lineage of ended jobs, oldest job first. It does not advance the revision: nobody may rely on lineage of an
// ended job.
func (s *State) sweepLineage() {
	for budget := sweepPerEntry; budget > 0 && s.sweeping != ""; {
		job := s.sweeping[:idSize]
		keys := s.lineageByJob.keys(job, budget)
		for _, key := range keys {
			s.dropLineage(key[idSize:])
		}
		if budget -= len(keys); budget > 0 {
			s.sweeping = s.sweeping[idSize:]
		}
	}
}
