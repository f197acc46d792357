package state

import (
	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// openClient returns the record of a batch's client, touched by this batch, after forgetting what the client will not repeat. The
// record is in the table already and may be changed until the batch is done, because no view is taken meanwhile.
func (s *State) openClient(b *mobulav1.Batch) *mobulav1.ClientRecord {
	s.batches++
	client := &mobulav1.ClientRecord{ClientId: b.GetClientId()}
	if old, ok := s.clients.get(string(b.GetClientId())); ok {
		client = proto.CloneOf(old)
	}
	client.LastBatch = s.batches
	s.setClient(client)
	if acked := b.GetAcked(); acked > client.GetFloor() {
		client.Floor = acked
		id := string(client.GetClientId())
		for client.GetResults() > 0 {
			key := s.firstResult(id)
			if key > id+ordinal(acked) {
				break
			}
			s.results.delete(key)
			client.Results--
		}
	}
	return client
}

// applyOnce applies a command unless it was applied before, and remembers its result.
func (s *State) applyOnce(client *mobulav1.ClientRecord, c *mobulav1.Command) *mobulav1.CommandResult {
	sequence := c.GetSequence()
	if sequence == 0 {
		return refuse(mobulav1.ResultCode_RESULT_CODE_INVALID_ARGUMENT, "sequence is 0, it starts at 1")
	}
	if sequence <= client.GetFloor() {
		return refuse(mobulav1.ResultCode_RESULT_CODE_FORGOTTEN,
			"command %d may have been applied: results up to %d are forgotten", sequence, client.GetFloor())
	}
	id := string(client.GetClientId())
	key := id + ordinal(sequence)
	if old, ok := s.results.get(key); ok {
		return old.GetResult()
	}
	result := s.applyCommand(c)
	s.results.set(key, &mobulav1.ResultRecord{ClientId: client.GetClientId(), Sequence: sequence, Result: result})
	client.Results++
	for client.GetResults() > s.limits.GetResultsPerClient() {
		s.forgetOldest(client)
	}
	return result
}

// forgetOldest forgets a client's oldest result; its command is never applied again.
func (s *State) forgetOldest(client *mobulav1.ClientRecord) {
	key := s.firstResult(string(client.GetClientId()))
	if r, ok := s.results.get(key); ok {
		client.Floor = r.GetSequence()
	}
	s.results.delete(key)
	client.Results--
}

// firstResult returns the key of the oldest result of a client that has one.
func (s *State) firstResult(id string) string {
	for key := range s.results.prefix(id) {
		return key
	}
	return ""
}

// forgetClients forgets whole clients, those that were silent longest first, until the limits hold. The client that is being
// served stays.
func (s *State) forgetClients(current *mobulav1.ClientRecord) {
	for s.clients.len() > int(s.limits.GetClients()) || s.results.len() > int(s.limits.GetResults()) {
		oldest := s.idleClients.first()
		id := oldest[len(oldest)-idSize:]
		if id == string(current.GetClientId()) {
			return
		}
		for _, key := range s.results.keys(id, s.results.len()) {
			s.results.delete(key)
		}
		s.clients.delete(id)
		s.idleClients.delete(oldest)
	}
}
