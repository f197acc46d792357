package service

import (
	"bytes"
	"context"
	"maps"
	"slices"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// ListRuntimeEnvs implements mobulav1.NodeServiceServer.
func (s *State) ListRuntimeEnvs(ctx context.Context, r *mobulav1.ListRuntimeEnvsRequest) (*mobulav1.ListRuntimeEnvsResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	list, err := newList(r.GetLimit(), nil)
	if err != nil {
		return nil, err
	}
	err = scan(ctx, n, maps.Values(n.jobs), rowPiece, func(j *job) {
		for i, row := range n.runtimeEnvRows(j) {
			list.add(-j.started, append(bytes.Clone(j.id[:]), byte(i>>8), byte(i)), row)
		}
	}, list.trim)
	if err != nil {
		return nil, err
	}
	rows, _, err := makeRows(ctx, n, list, func(row *mobulav1.RuntimeEnvInfo) *mobulav1.RuntimeEnvInfo { return row })
	return &mobulav1.ListRuntimeEnvsResponse{RuntimeEnvs: rows, Total: list.total}, err
}

// runtimeEnvRows makes the rows of a job's runtime environments: that of the job itself first. What has nothing to be set up is ready.
func (n *Node) runtimeEnvRows(j *job) []*mobulav1.RuntimeEnvInfo {
	workers := make(map[string]uint32)
	for _, w := range n.workers {
		if w.job == j {
			workers[w.sched.Env()]++
		}
	}
	texts := make(map[string]string) // by the environment's key
	if text := j.env[envRuntime]; text != "" {
		texts[""] = text
	}
	for key, vars := range j.envs {
		if text := vars[envRuntime]; text != "" {
			texts[key] = text
		}
	}
	var rows []*mobulav1.RuntimeEnvInfo
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		row := &mobulav1.RuntimeEnvInfo{
			JobId: bytes.Clone(j.id[:]), RuntimeEnv: texts[key], State: mobulav1.RuntimeEnvState_RUNTIME_ENV_STATE_READY, Workers: workers[key],
		}
		if e := j.environments[key]; e != nil {
			row.State, row.SetupNs = e.state.public(), e.took
			if e.state == environmentFailed {
				row.Error = e.failure.GetMessage()
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// public is the state as listings have it.
func (s environmentState) public() mobulav1.RuntimeEnvState {
	switch s {
	case environmentIdle:
		return mobulav1.RuntimeEnvState_RUNTIME_ENV_STATE_IDLE
	case environmentBuilding:
		return mobulav1.RuntimeEnvState_RUNTIME_ENV_STATE_BUILDING
	case environmentReady:
		return mobulav1.RuntimeEnvState_RUNTIME_ENV_STATE_READY
	default:
		return mobulav1.RuntimeEnvState_RUNTIME_ENV_STATE_FAILED
	}
}
