package state

import mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

// putKey writes a key if its condition holds.
func (s *State) putKey(c *mobulav1.PutKey) *mobulav1.CommandResult {
	old, exists := s.keys.get(pair(c.GetNamespace(), c.GetKey()))
	var refused *mobulav1.CommandResult
	switch {
	case c.GetCondition() == mobulav1.PutKey_CONDITION_ABSENT && exists:
		refused = refuse(mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS, "key %q exists with version %d", c.GetKey(), old.GetVersion())
	case c.GetCondition() == mobulav1.PutKey_CONDITION_VERSION && !exists:
		refused = refuse(mobulav1.ResultCode_RESULT_CODE_NOT_FOUND, "key %q does not exist", c.GetKey())
	case c.GetCondition() == mobulav1.PutKey_CONDITION_VERSION && c.GetVersion() != old.GetVersion():
		refused = refuse(mobulav1.ResultCode_RESULT_CODE_CONFLICT, "key %q has version %d, not %d", c.GetKey(), old.GetVersion(), c.GetVersion())
	}
	if refused != nil {
		refused.Version = old.GetVersion()
		return refused
	}
	next := &mobulav1.KeyRecord{Namespace: c.GetNamespace(), Key: c.GetKey(), Value: c.GetValue()}
	bytes := s.keyBytes + keySize(next)
	if exists {
		bytes -= keySize(old)
	}
	// A write that makes the table no larger is let through, so that a full table can be made smaller.
	if bytes > s.limits.GetKeyBytes() && bytes > s.keyBytes {
		return refuse(mobulav1.ResultCode_RESULT_CODE_LIMIT_EXCEEDED, "keys and values would take %d bytes, the most is %d", bytes, s.limits.GetKeyBytes())
	}
	next.Version = s.advance()
	s.put(&mobulav1.Record{Kind: &mobulav1.Record_Key{Key: next}})
	r := ok()
	r.Version = next.GetVersion()
	return r
}

// deleteKey deletes a key if it has the version that was asked for.
func (s *State) deleteKey(c *mobulav1.DeleteKey) *mobulav1.CommandResult {
	key := pair(c.GetNamespace(), c.GetKey())
	old, exists := s.keys.get(key)
	switch {
	case !exists:
		return refuse(mobulav1.ResultCode_RESULT_CODE_NOT_FOUND, "key %q does not exist", c.GetKey())
	case c.GetVersion() != 0 && c.GetVersion() != old.GetVersion():
		r := refuse(mobulav1.ResultCode_RESULT_CODE_CONFLICT, "key %q has version %d, not %d", c.GetKey(), old.GetVersion(), c.GetVersion())
		r.Version = old.GetVersion()
		return r
	}
	s.keys.delete(key)
	s.keyBytes -= keySize(old)
	s.deleted(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: c.GetNamespace(), Name: c.GetKey()})
	return ok()
}
