package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/head"
)

const logsHelp = `Show what workers have printed, and what the node says. Without arguments, list the log files.

Name a file of the list, a worker's process, or the id of a worker, an actor or a task. Of a worker both outputs are shown, first the standard
output and then the standard error; a task has only its own lines (of Go functions they cannot be told apart: name the worker).
Logs stay after their worker's end, as long as there is room: 8 MiB and as much before them for each output, 512 MiB in all.

  mobula logs
  mobula logs node.log --tail 20
  mobula logs 4242 --follow
  mobula logs --actor 5be0c38e3b0a4f720000000000000007 --stream err`

// logsOptions are the flags of logs.
type logsOptions struct {
	target              target
	worker, actor, task string
	stream              string
	glob                string
	tail                int
	follow              bool
	json                bool
	// guess is the id that an argument gave, of a worker, an actor or a task; empty when none did.
	guess []byte
}

// logsHint says how to go on when there is no such log.
const logsHint = `"mobula logs" lists the logs that there are`

// logsPause is how long a follower waits before it asks again.
const logsPause = 200 * time.Millisecond

func newLogs() *cobra.Command {
	o := new(logsOptions)
	cmd := &cobra.Command{
		Use: "logs [FILE | PID | ID]", Short: "Show what workers have printed, and the node's log", Long: logsHelp, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			requests, err := o.requests(args)
			if err != nil {
				return &usageError{err: err, command: cmd.CommandPath()}
			}
			c, err := o.target.dial(cmd.Context())
			if err != nil {
				return o.target.logsOfTheDead(err)
			}
			if requests == nil {
				err = o.list(cmd, c)
			} else {
				err = o.show(cmd, c, requests)
			}
			return errors.Join(err, c.Close())
		},
	}
	o.target.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.worker, "worker", "", "the output of the worker with this id")
	f.StringVar(&o.actor, "actor", "", "the output of the latest process of the actor with this id")
	f.StringVar(&o.task, "task", "", "what the task with this id has printed in its latest attempt")
	f.StringVar(&o.stream, "stream", "both", "which output of a worker: out, err, both")
	f.IntVarP(&o.tail, "tail", "n", -1, "only so many `lines` from the end (default: all)")
	f.Lookup("tail").DefValue = "0" // the -1 that stands for all is not shown
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes, until the worker has ended")
	f.StringVar(&o.glob, "glob", "", `only files whose names match, such as "worker-*.err"; for the list`)
	f.BoolVar(&o.json, "json", false, "print the list as JSON")
	return cmd
}

// logsOfTheDead says where the logs of a node are that does not run.
func (t *target) logsOfTheDead(err error) error {
	address, unknown := t.resolve()
	if _, missing := errors.AsType[*head.NotRunningError](err); !missing || unknown != nil {
		return err
	}
	dir := filepath.Join(head.DirOf(address), "logs")
	if _, gone := os.Stat(dir); gone != nil {
		return err
	}
	return fmt.Errorf("%w\nThe logs that it left are in %s", err, dir)
}

// requests are the first questions for the logs that the command line names, one for each output; nil when it names none.
func (o *logsOptions) requests(args []string) ([]*mobulav1.ReadLogRequest, error) {
	named, err := o.named(args)
	if err == nil {
		err = o.check(named != nil)
	}
	if err != nil || named == nil {
		return nil, err
	}
	streams := logStreams[o.stream]
	if named.GetName() != "" {
		streams = streams[:1] // it is a file: which output is in its name
	}
	var requests []*mobulav1.ReadLogRequest
	for _, stream := range streams {
		r := &mobulav1.ReadLogRequest{
			Name: named.GetName(), WorkerId: named.GetWorkerId(), ActorId: named.GetActorId(), TaskId: named.GetTaskId(), Pid: named.GetPid(), Stream: stream,
		}
		if o.tail >= 0 {
			tail := uint32(o.tail)
			r.Tail = &tail
		}
		requests = append(requests, r)
	}
	return requests, nil
}

// logStreams are the outputs by what --stream calls them.
var logStreams = map[string][]mobulav1.LogStream{
	"out": {mobulav1.LogStream_LOG_STREAM_OUT}, "err": {mobulav1.LogStream_LOG_STREAM_ERR},
	"both": {mobulav1.LogStream_LOG_STREAM_OUT, mobulav1.LogStream_LOG_STREAM_ERR},
}

// named is the log that the flags or the argument name, nil when they name none.
func (o *logsOptions) named(args []string) (*mobulav1.ReadLogRequest, error) {
	var named []*mobulav1.ReadLogRequest
	for _, f := range []struct{ flag, text string }{{"worker", o.worker}, {"actor", o.actor}, {"task", o.task}} {
		if f.text == "" {
			continue
		}
		id, err := hex.DecodeString(f.text)
		if err != nil || len(id) != idSize {
			return nil, fmt.Errorf("--%s %q: want an id, %d hexadecimal digits", f.flag, f.text, 2*idSize)
		}
		named = append(named, requestOf(f.flag, id))
	}
	for _, arg := range args {
		r := requestOfArgument(arg)
		o.guess = r.GetWorkerId()
		named = append(named, r)
	}
	switch len(named) {
	case 0:
		return nil, nil
	case 1:
		return named[0], nil
	default:
		return nil, errors.New("name one log at a time")
	}
}

// check refuses flags that cannot be, or that do not go with whether a log is named.
func (o *logsOptions) check(named bool) error {
	switch {
	case logStreams[o.stream] == nil:
		return fmt.Errorf("--stream %q: want out, err or both", o.stream)
	case o.tail < -1 || o.tail > tailLinesMax:
		return fmt.Errorf("--tail %d: want a number of lines from 0 to %d", o.tail, tailLinesMax)
	case !named && (o.follow || o.tail >= 0):
		return errors.New("say which log: a file, a process or an id")
	case named && (o.json || o.glob != ""):
		return errors.New("--json and --glob are for the list of all logs")
	}
	return nil
}

const (
	// idSize is the length of the ids of workers, actors and tasks.
	idSize = 16
	// tailLinesMax is the most lines from the end that a node gives.
	tailLinesMax = 1_000_000
)

// requestOf asks for the log of something with an id; kind "" is not known yet.
func requestOf(kind string, id []byte) *mobulav1.ReadLogRequest {
	switch kind {
	case "worker":
		return &mobulav1.ReadLogRequest{WorkerId: id}
	case "actor":
		return &mobulav1.ReadLogRequest{ActorId: id}
	default:
		return &mobulav1.ReadLogRequest{TaskId: id}
	}
}

// requestOfArgument asks for the log that an argument names: by a number of a process, by an id, or by a file's name.
func requestOfArgument(arg string) *mobulav1.ReadLogRequest {
	if pid, err := strconv.ParseInt(arg, 10, 32); err == nil && pid > 0 {
		return &mobulav1.ReadLogRequest{Pid: int32(pid)}
	}
	if id, err := hex.DecodeString(arg); err == nil && len(id) == idSize {
		return requestOf("worker", id)
	}
	return &mobulav1.ReadLogRequest{Name: arg}
}

// list prints which logs there are.
func (o *logsOptions) list(cmd *cobra.Command, c *head.Client) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), callTimeout)
	defer cancel()
	r, err := c.ListLogs(ctx, &mobulav1.ListLogsRequest{Glob: o.glob})
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(cmd.OutOrStdout(), object{{"logs", rowsOf(logColumns(), r.GetFiles())}})
	}
	return printList(cmd, "logs", logColumns(), r.GetFiles(), uint64(len(r.GetFiles())))
}

// feed is one log that is shown.
type feed struct {
	request *mobulav1.ReadLogRequest
	name    string
	over    bool
}

// show prints logs, one after the other, and goes on with all of them if they are to be followed.
func (o *logsOptions) show(cmd *cobra.Command, c *head.Client, requests []*mobulav1.ReadLogRequest) error {
	var feeds []*feed
	for _, r := range requests {
		feeds = append(feeds, &feed{request: r})
	}
	p := &feedPrinter{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), headings: len(feeds) > 1}
	for {
		over := true
		for _, f := range feeds {
			if err := o.advance(cmd.Context(), c, f, p); err != nil {
				return err
			}
			over = over && f.over
		}
		if over || !o.follow {
			return p.finish(feeds[0])
		}
		select {
		case <-time.After(logsPause):
		case <-cmd.Context().Done():
			return nil
		}
	}
}

// advance prints what a log has more of, to its present end.
func (o *logsOptions) advance(ctx context.Context, c *head.Client, f *feed, p *feedPrinter) error {
	for !f.over {
		page, err := o.read(ctx, c, f.request)
		if err != nil {
			return err
		}
		f.name = page.GetName()
		if err := p.print(f, page); err != nil {
			return err
		}
		f.over = page.GetEnd() && !page.GetLive()
		if page.GetNextOffset() > 0 { // else it has no file yet
			f.request = &mobulav1.ReadLogRequest{Name: f.name, TaskId: f.request.GetTaskId(), Offset: page.GetNextOffset(), Inside: page.GetInside()}
		}
		if page.GetEnd() {
			return nil
		}
	}
	return nil
}

// read asks for a part of a log. An id of which the argument did not say what has it is what the node knows by it.
func (o *logsOptions) read(ctx context.Context, c *head.Client, r *mobulav1.ReadLogRequest) (*mobulav1.ReadLogResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := c.ReadLog(ctx, r)
	if isNotFound(err) && o.guess != nil && r.GetName() == "" {
		for _, kind := range []string{"actor", "task"} {
			other := requestOf(kind, o.guess)
			other.Stream, other.Tail = r.GetStream(), r.Tail
			if page, err = c.ReadLog(ctx, other); !isNotFound(err) {
				r.WorkerId, r.ActorId, r.TaskId = nil, other.GetActorId(), other.GetTaskId()
				return page, err
			}
		}
		return nil, fmt.Errorf("the node knows no worker, actor or task with the id %x\n%s", o.guess, logsHint)
	}
	if isNotFound(err) {
		return nil, fmt.Errorf("%w\n%s", err, logsHint)
	}
	return page, err
}

func isNotFound(err error) bool {
	e, ok := errors.AsType[*head.APIError](err)
	return ok && e.NotFound()
}

// feedPrinter prints parts of logs, each under the name of its log when there are several.
type feedPrinter struct {
	out, err io.Writer
	headings bool
	last     *feed
	any      bool
}

func (p *feedPrinter) print(f *feed, page *mobulav1.ReadLogResponse) error {
	if lost := page.GetLostBytes(); lost > 0 {
		if _, err := fmt.Fprintf(p.err, "%d bytes before this are gone: newer ones of %s took their place\n", lost, f.name); err != nil {
			return err
		}
	}
	if len(page.GetData()) == 0 {
		return nil
	}
	if p.headings && p.last != f {
		if _, err := fmt.Fprintf(p.out, "==> %s <==\n", f.name); err != nil {
			return err
		}
	}
	p.last, p.any = f, true
	_, err := p.out.Write(page.GetData())
	return err
}

// finish says so when there was nothing.
func (p *feedPrinter) finish(f *feed) error {
	if p.any {
		return nil
	}
	_, err := fmt.Fprintf(p.err, "nothing was printed to %s\n", f.name)
	return err
}
