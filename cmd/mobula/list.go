package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/head"
)

const listHelp = `List what a node has. Each row was true at a moment of the call; the node works on meanwhile.

  mobula list tasks --state failed
  mobula list objects --min-size 100MiB
  mobula list actors --json | jq -r '.actors[].name'`

// limitMax is the most rows that a node answers with.
const limitMax = 10_000

// query is what a list asks for; each list has some of the filters.
type query struct {
	limit    uint32
	state    int32 // of the list's enum; 0 is any
	job      []byte
	function string
	class    string
	minSize  size
}

func newList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List tasks, actors, objects, nodes, jobs, workers, runtime environments or events", Long: listHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &usageError{err: errors.New("say what to list"), command: cmd.CommandPath()}
		},
	}
	cmd.AddCommand(
		newListOf("tasks", "List tasks: those that have not ended, and the last 10,000 that have", taskColumns(), listTasks,
			mobulav1.TaskState_name, "job", "function"),
		newListOf("actors", "List actors, dead ones too", actorColumns(), listActors, mobulav1.ActorStatus_name, "job", "class"),
		newListOf("objects", "List objects, the largest first", objectColumns(), listObjects, mobulav1.ObjectState_name, "job", "min-size"),
		newListOf("nodes", "List nodes, dead ones too", nodeColumns(), listNodes, nil),
		newListOf("jobs", "List jobs, ended ones too", jobColumns(), listJobs, mobulav1.JobStatus_name),
		newListOf("runtime-envs", "List the runtime environments of jobs that have not ended", runtimeEnvColumns(), listRuntimeEnvs, nil),
		newListOf("events", "List what has happened to nodes, jobs, workers and actors, the newest first", eventColumns(), listEvents, nil),
		newListOf("workers", "List worker processes, those that ended lately too", workerColumns(), listWorkers, mobulav1.WorkerState_name, "job"),
	)
	return cmd
}

// lister asks for one list, and says how many rows match.
type lister[T any] func(context.Context, *head.Client, *query) (rows []T, total uint64, err error)

// newListOf makes the command of one list. states are those by which it can be filtered, extra its further filters.
func newListOf[T any](noun, short string, columns []column[T], list lister[T], states map[int32]string, extra ...string) *cobra.Command {
	var t target
	var q query
	var state, job string
	var asJSON bool
	cmd := &cobra.Command{
		Use: noun, Short: short, Long: short + ".", Args: cobra.NoArgs, Aliases: []string{strings.TrimSuffix(noun, "s")},
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if q.state, err = parseState(state, states); err == nil {
				q.job, err = parseJob(job)
			}
			if err == nil && q.limit > limitMax {
				err = fmt.Errorf("--limit %d: at most %d rows are possible", q.limit, limitMax)
			}
			if err != nil {
				return &usageError{err: err, command: cmd.CommandPath()}
			}
			return t.ask(cmd, func(ctx context.Context, c *head.Client) error {
				rows, total, err := list(ctx, c, &q)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), object{{noun, rowsOf(columns, rows)}, {"total", total}, {"truncated", total > uint64(len(rows))}})
				}
				return printList(cmd, noun, columns, rows, total)
			})
		},
	}
	t.flags(cmd)
	flags := cmd.Flags()
	flags.Uint32Var(&q.limit, "limit", 100, fmt.Sprintf("most rows to show, up to %d", limitMax))
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	if states != nil {
		flags.StringVar(&state, "state", "", "only those in this state: "+strings.Join(stateNames(states), ", "))
	}
	for _, name := range extra {
		switch name {
		case "job":
			flags.StringVar(&job, "job", "", "only those of the job with this id")
		case "function":
			flags.StringVar(&q.function, "function", "", "only functions whose name contains this")
		case "class":
			flags.StringVar(&q.class, "class", "", "only classes whose name contains this")
		case "min-size":
			flags.Var(&q.minSize, "min-size", "only objects of at least this size, such as 100MiB")
		}
	}
	return cmd
}

// printList writes a table, and says so when there is more.
func printList[T any](cmd *cobra.Command, noun string, columns []column[T], rows []T, total uint64) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "no %s\n", noun)
		return err
	}
	t := newTable(cmd.OutOrStdout())
	var titles []any
	for _, c := range columns {
		if c.title != "" {
			titles = append(titles, heading(c.title))
		}
	}
	t.add(titles...)
	for _, r := range rows {
		var values []any
		for _, c := range columns {
			if c.title != "" {
				values = append(values, c.value(r))
			}
		}
		t.add(values...)
	}
	if err := t.writeTo(cmd.OutOrStdout()); err != nil {
		return err
	}
	if total > uint64(len(rows)) {
		_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%d of %d %s are shown; --limit shows more, up to %d\n", len(rows), total, noun, limitMax)
		return err
	}
	return nil
}

// stateNames lists the values of an enum as people write them.
func stateNames(names map[int32]string) []string {
	var list []string
	for _, number := range slices.Sorted(maps.Keys(names)) {
		if number != 0 {
			list = append(list, shortName(names[number]))
		}
	}
	return list
}

// parseState reads a value of an enum as people write it; empty is any.
func parseState(text string, names map[int32]string) (int32, error) {
	if text == "" {
		return 0, nil
	}
	for number, name := range names {
		if number != 0 && strings.EqualFold(shortName(name), text) {
			return number, nil
		}
	}
	return 0, fmt.Errorf("--state %q: want one of %s", text, strings.Join(stateNames(names), ", "))
}

// short returns the name of an enum's value as people write it.
func short(value fmt.Stringer) state { return state(shortName(value.String())) }

// shortName takes the enum's own name off that of its value.
func shortName(name string) string {
	for _, mark := range []string{"_STATE_", "_STATUS_", "_KIND_", "LANGUAGE_", "ISOLATION_", "_SEVERITY_", "_SOURCE_", "EXIT_TYPE_"} {
		if i := strings.Index(name, mark); i >= 0 {
			name = name[i+len(mark):]
			break
		}
	}
	return strings.ToLower(name)
}

// parseJob reads the id of a job; empty is any.
func parseJob(text string) ([]byte, error) {
	id, err := hex.DecodeString(text)
	if err != nil || len(id) != 0 && len(id) != 16 {
		return nil, fmt.Errorf("--job %q: want the id of a job, 32 hexadecimal digits", text)
	}
	return id, nil
}

// pages asks for a list in as many answers as it takes.
func pages[T any, R interface {
	GetTotal() uint64
	GetNextPageToken() []byte
}](limit uint32, ask func(limit uint32, token []byte) (R, error), rowsOf func(R) []T) (rows []T, total uint64, err error) {
	var token []byte
	for {
		r, err := ask(limit-uint32(len(rows)), token)
		if err != nil {
			return nil, 0, err
		}
		rows = append(rows, rowsOf(r)...)
		if token = r.GetNextPageToken(); token == nil || len(rows) >= int(limit) {
			return rows, r.GetTotal(), nil
		}
	}
}

func listTasks(ctx context.Context, c *head.Client, q *query) ([]*mobulav1.TaskInfo, uint64, error) {
	return pages(q.limit, func(limit uint32, token []byte) (*mobulav1.ListTasksResponse, error) {
		return c.ListTasks(ctx, &mobulav1.ListTasksRequest{Limit: limit, PageToken: token, State: mobulav1.TaskState(q.state), JobId: q.job, Function: q.function})
	}, (*mobulav1.ListTasksResponse).GetTasks)
}

func listActors(ctx context.Context, c *head.Client, q *query) ([]*mobulav1.ActorInfo, uint64, error) {
	return pages(q.limit, func(limit uint32, token []byte) (*mobulav1.ListActorsResponse, error) {
		return c.ListActors(ctx, &mobulav1.ListActorsRequest{Limit: limit, PageToken: token, Status: mobulav1.ActorStatus(q.state), JobId: q.job, Class: q.class})
	}, (*mobulav1.ListActorsResponse).GetActors)
}

func listObjects(ctx context.Context, c *head.Client, q *query) ([]*mobulav1.ObjectInfo, uint64, error) {
	return pages(q.limit, func(limit uint32, token []byte) (*mobulav1.ListObjectsResponse, error) {
		return c.ListObjects(ctx, &mobulav1.ListObjectsRequest{
			Limit: limit, PageToken: token, State: mobulav1.ObjectState(q.state), JobId: q.job, MinSizeBytes: uint64(q.minSize),
		})
	}, (*mobulav1.ListObjectsResponse).GetObjects)
}

func listNodes(ctx context.Context, c *head.Client, q *query) ([]*mobulav1.NodeInfo, uint64, error) {
	return pages(q.limit, func(limit uint32, token []byte) (*mobulav1.ListNodesResponse, error) {
		return c.ListNodes(ctx, &mobulav1.ListNodesRequest{Limit: limit, PageToken: token})
	}, (*mobulav1.ListNodesResponse).GetNodes)
}

func listJobs(ctx context.Context, c *head.Client, q *query) ([]*mobulav1.JobInfo, uint64, error) {
	return pages(q.limit, func(limit uint32, token []byte) (*mobulav1.ListJobsResponse, error) {
		return c.ListJobs(ctx, &mobulav1.ListJobsRequest{Limit: limit, PageToken: token, Status: mobulav1.JobStatus(q.state)})
	}, (*mobulav1.ListJobsResponse).GetJobs)
}

func listWorkers(ctx context.Context, c *head.Client, q *query) ([]*mobulav1.WorkerInfo, uint64, error) {
	return pages(q.limit, func(limit uint32, token []byte) (*mobulav1.ListWorkersResponse, error) {
		return c.ListWorkers(ctx, &mobulav1.ListWorkersRequest{Limit: limit, PageToken: token, State: mobulav1.WorkerState(q.state), JobId: q.job})
	}, (*mobulav1.ListWorkersResponse).GetWorkers)
}

func listRuntimeEnvs(ctx context.Context, c *head.Client, q *query) ([]*mobulav1.RuntimeEnvInfo, uint64, error) {
	r, err := c.ListRuntimeEnvs(ctx, &mobulav1.ListRuntimeEnvsRequest{Limit: q.limit})
	return r.GetRuntimeEnvs(), r.GetTotal(), err
}

func listEvents(ctx context.Context, c *head.Client, q *query) ([]*mobulav1.EventInfo, uint64, error) {
	r, err := c.ListEvents(ctx, &mobulav1.ListEventsRequest{Limit: q.limit})
	return r.GetEvents(), r.GetTotal(), err
}
