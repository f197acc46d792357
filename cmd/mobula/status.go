package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/head"
)

// unitsPerOne is how many units one CPU, one GPU or one of a custom resource has; memory is in bytes.
const unitsPerOne = 10_000

func newStatus() *cobra.Command {
	var t target
	asJSON := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a node has and does",
		Long: `Show what a node has and does: its resources, and how many jobs, tasks, workers, actors and objects there are.

  mobula status
  mobula status --json | jq .tasks.queued`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.ask(cmd, func(ctx context.Context, c *head.Client) error {
				s, err := c.GetStatus(ctx, &mobulav1.GetStatusRequest{})
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), statusObject(s))
				}
				return printStatus(cmd.OutOrStdout(), s)
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printStatus writes a node's status for people.
func printStatus(w io.Writer, s *mobulav1.GetStatusResponse) error {
	t := newTable(w)
	add := func(name, format string, args ...any) { t.add(heading(name), fmt.Sprintf(format, args...)) }
	node, tasks, workers, store := s.GetNode().GetRecord(), s.GetTasks(), s.GetWorkers(), s.GetNode().GetStore()
	add("node", "%s, pid %d on %s, up %s", hex.EncodeToString(node.GetRef().GetNodeId()), node.GetPid(), node.GetHostname(),
		age(time.Since(time.Unix(0, s.GetStartedUnixNs()))))
	add("address", "%s", node.GetAddress())
	add("version", "%s", node.GetBuild())
	if node.GetStatus() == mobulav1.NodeStatus_NODE_STATUS_DRAINING {
		add("draining", "%s", node.GetDrainReason())
	}
	add("jobs", "%d running", s.GetJobs())
	add("tasks", "%d waiting, %d queued, %d running", tasks.GetWaiting(), tasks.GetQueued(), tasks.GetRunning())
	add("actors", "%d", s.GetActors())
	add("workers", "%d busy, %d idle, %d starting", workers.GetBusy(), workers.GetIdle(), workers.GetStarting())
	for _, r := range s.GetNode().GetResources() {
		add(r.GetName(), "%s of %s free", amount(r.GetName(), r.GetFree()), amount(r.GetName(), r.GetTotal()))
	}
	add("objects", "%d; %d of them in the store, %s", s.GetObjects(), store.GetObjects(), formatBytes(store.GetObjectBytes()))
	add("store", "%s of %s in use, %s mapped by readers", formatBytes(store.GetUsedBytes()), formatBytes(store.GetCapacityBytes()),
		formatBytes(store.GetPinnedBytes()))
	if store.GetWaiting() > 0 {
		add("", "%d writers wait for room", store.GetWaiting())
	}
	if s.GetResidentBytes() > 0 {
		add("process", "%s resident", formatBytes(s.GetResidentBytes()))
	}
	return t.writeTo(w)
}

// amount writes a quantity of a resource for people.
func amount(name string, units int64) string {
	if name == "memory" {
		return formatBytes(uint64(max(units, 0)))
	}
	return trimZeros(fmt.Sprintf("%.4f", float64(units)/unitsPerOne))
}

// trimZeros takes the zeros after a decimal point away that say nothing.
func trimZeros(number string) string { return strings.TrimRight(strings.TrimRight(number, "0"), ".") }

// quantity returns a quantity of a resource as a number for JSON.
func quantity(name string, units int64) any {
	if name == "memory" {
		return units
	}
	return float64(units) / unitsPerOne
}

// statusObject makes JSON of a node's status.
func statusObject(s *mobulav1.GetStatusResponse) object {
	node, tasks, workers := s.GetNode().GetRecord(), s.GetTasks(), s.GetWorkers()
	return object{
		{"node_id", hex.EncodeToString(node.GetRef().GetNodeId())},
		{"epoch", node.GetRef().GetEpoch()},
		{"status", short(node.GetStatus())},
		{"address", node.GetAddress()},
		{"hostname", node.GetHostname()},
		{"version", node.GetBuild()},
		{"pid", node.GetPid()},
		{"started", stamp(s.GetStartedUnixNs())},
		{"control_dir", s.GetControlDir()},
		{"resident_bytes", s.GetResidentBytes()},
		{"jobs", s.GetJobs()},
		{"actors", s.GetActors()},
		{"objects", s.GetObjects()},
		{"tasks", object{{"waiting", tasks.GetWaiting()}, {"queued", tasks.GetQueued()}, {"running", tasks.GetRunning()}}},
		{"workers", object{{"starting", workers.GetStarting()}, {"idle", workers.GetIdle()}, {"busy", workers.GetBusy()}}},
		{"resources", resourceObjects(s.GetNode().GetResources())},
		{"store", storeObject(s.GetNode().GetStore())},
	}
}

func resourceObjects(resources []*mobulav1.ResourceUse) object {
	o := object{}
	for _, r := range resources {
		o = append(o, field{r.GetName(), object{{"total", quantity(r.GetName(), r.GetTotal())}, {"free", quantity(r.GetName(), r.GetFree())}}})
	}
	return o
}

func storeObject(s *mobulav1.StoreUse) any {
	if s == nil {
		return nil
	}
	return object{
		{"capacity_bytes", s.GetCapacityBytes()}, {"used_bytes", s.GetUsedBytes()}, {"object_bytes", s.GetObjectBytes()},
		{"pinned_bytes", s.GetPinnedBytes()}, {"segments", s.GetSegments()}, {"objects", s.GetObjects()}, {"waiting", s.GetWaiting()},
	}
}
