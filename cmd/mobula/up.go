package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mobula-dev/mobula/head"
)

const upHelp = `Start a node: a control plane and a node manager in one process.

In the foreground it runs until Ctrl-C, SIGTERM or "mobula down"; a second signal ends it at once. With --detach it goes on
in the background: its log is DIR/log and its process is in DIR/pid. One node at a time can have a directory. A node that starts
again on its directory keeps names, keys and the history of jobs, and says what died with it.

  mobula up
  mobula up --detach --dir ~/.local/share/mobula --cpus 8 --memory 16GiB --resource disk=2`

// upOptions are the flags of up.
type upOptions struct {
	dir       string
	cpus      float64
	gpus      int
	memory    size
	store     size
	resources []string
	labels    map[string]string
	logLevel  string
	logFormat string
	detach    bool
}

func newUp() *cobra.Command { return newUpFlags(new(upOptions)) }

// newUpFlags is the command, whose flags go to o.
func newUpFlags(o *upOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use: "up", Short: "Start a node", Long: upHelp, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.config(gpusGiven(cmd))
			if err != nil {
				return &usageError{err: err, command: cmd.CommandPath()}
			}
			if ready := takeReadyPipe(); ready != nil {
				return serveDetached(cmd, cfg, ready)
			}
			if o.detach {
				return detach(cmd, cfg.Dir)
			}
			return serve(cmd.Context(), cfg, func(banner string) error {
				_, err := io.WriteString(cmd.OutOrStdout(), banner)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.dir, "dir", "", "directory of the node (default $XDG_RUNTIME_DIR/mobula, else mobula in the user's cache directory)")
	f.Float64Var(&o.cpus, "cpus", 0, "CPUs that tasks may use (default: those of the machine or the container)")
	f.IntVar(&o.gpus, "gpus", 0, "GPUs that tasks may use (default: those that are found and that CUDA_VISIBLE_DEVICES leaves)")
	f.Var(&o.memory, "memory", "memory that tasks may ask for, such as 16GiB (default: 70 % of that of the machine or the container)")
	f.Var(&o.store, "store-bytes", "capacity of the object store, such as 4GiB (default: 30 % of that memory)")
	f.StringArrayVar(&o.resources, "resource", nil, "custom resource, `name=quantity`; may be repeated")
	f.StringToStringVar(&o.labels, "labels", nil, "label of the node, `name=value`, or several with commas between; tasks and actors may ask for labels")
	f.Lookup("labels").DefValue = "" // no "default []"
	f.StringVar(&o.logLevel, "log-level", "info", "least level of what is logged: debug, info, warn, error")
	f.StringVar(&o.logFormat, "log-format", "text", "form of the log: text, json")
	f.BoolVarP(&o.detach, "detach", "d", false, "return when the node is ready, and leave it running")
	f.Float64Var(&o.cpus, "num-cpus", 0, "--cpus by the name that ray start has for it")
	f.IntVar(&o.gpus, "num-gpus", 0, "--gpus, likewise")
	for _, name := range []string{"num-cpus", "num-gpus"} {
		_ = f.MarkHidden(name) // it is there
	}
	return cmd
}

// gpusGiven reports whether the number of GPUs was given; else it is found.
func gpusGiven(cmd *cobra.Command) bool {
	return cmd.Flags().Changed("gpus") || cmd.Flags().Changed("num-gpus")
}

// config turns the flags into a configuration. gpus says that a number of GPUs was given.
func (o *upOptions) config(gpus bool) (head.Config, error) {
	cfg := head.Config{
		Dir: o.dir, Durable: true, CPUs: o.cpus, Labels: o.labels, Memory: int64(o.memory), StoreBytes: uint64(o.store), Build: buildVersion(),
		Resources: make(map[string]float64),
	}
	for _, text := range o.resources {
		name, quantity, _ := strings.Cut(text, "=")
		n, err := strconv.ParseFloat(quantity, 64)
		if err != nil || name == "" {
			return cfg, fmt.Errorf("--resource %q: want name=quantity, such as disk=2", text)
		}
		if _, twice := cfg.Resources[name]; twice {
			return cfg, fmt.Errorf("--resource %q: the name was given before", text)
		}
		cfg.Resources[name] = n
	}
	if gpus {
		cfg.GPUs = &o.gpus
	}
	if cfg.CPUs < 0 || o.gpus < 0 {
		return cfg, errors.New("a number of CPUs or GPUs is negative")
	}
	var err error
	if cfg.Logger, err = o.logger(os.Stderr); err != nil {
		return cfg, err
	}
	if cfg.Dir == "" {
		if cfg.Dir, err = defaultDir(); err != nil {
			return cfg, err
		}
	}
	cfg.Dir, err = filepath.Abs(cfg.Dir)
	return cfg, err
}

// logger makes the log.
func (o *upOptions) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", o.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("--log-format %q: want text or json", o.logFormat)
	}
}

// serve runs a node until it is told to end. ready gets what to tell the user when it serves.
func serve(ctx context.Context, cfg head.Config, ready func(banner string) error) error {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cfg.Shutdown = func(reason string) { cancel(errors.New("asked to: " + reason)) }
	stop := head.OnSignal(func(s os.Signal) { cancel(fmt.Errorf("signal: %v", s)) })
	defer stop()
	h, err := head.Open(ctx, cfg)
	if err != nil {
		return err
	}
	cfg.Logger.Info("node is ready", "address", h.Address(), "pid", os.Getpid(), "version", cfg.Build, "took", time.Since(start).Round(time.Millisecond))
	if err := ready(banner(cfg, h.Address())); err != nil {
		return errors.Join(fmt.Errorf("say that the node is ready: %w", err), h.Close())
	}
	<-ctx.Done()
	cfg.Logger.Info("node ends", "reason", context.Cause(ctx))
	return h.Close()
}

// banner tells the user how to use the node.
func banner(cfg head.Config, address string) string {
	down := "mobula down"
	if dir, err := defaultDir(); err != nil || dir != cfg.Dir {
		down += " --address " + quote(cfg.Dir)
	}
	extra := ""
	for _, name := range slices.Sorted(maps.Keys(cfg.Resources)) {
		extra += fmt.Sprintf(" %s=%v", name, cfg.Resources[name])
	}
	if extra != "" {
		extra = " with" + extra
	}
	return fmt.Sprintf("Mobula is ready%s, in process %d.\n\nUse it from a program:  export %s=%s\nSee what it does:       mobula status\nEnd it:                 %s\n",
		extra, os.Getpid(), addressVariable, quote(address), down)
}

// quote writes a word so that a shell reads it as one.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/:._-+@%,=", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
