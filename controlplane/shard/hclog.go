package shard

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// raftLogger sends what the Raft library logs to slog. The library tells of its ordinary life at Info and of elections, which an only
// voter holds at each start, at Warn: both are for debugging here. Its errors are warnings, because whoever they concern gets an error
// of its own.
type raftLogger struct {
	log  *slog.Logger
	name string
	args []any
}

var _ hclog.Logger = (*raftLogger)(nil)

func (l *raftLogger) level(level hclog.Level) slog.Level {
	if level >= hclog.Error {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Log logs at a level.
func (l *raftLogger) Log(level hclog.Level, msg string, args ...any) {
	to := l.level(level)
	if !l.log.Enabled(context.Background(), to) {
		return
	}
	for i, a := range args {
		if f, ok := a.(hclog.Format); ok && len(f) > 0 {
			args[i] = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
	}
	l.log.With("event", msg).Log(context.Background(), to, "raft", args...)
}

// Trace logs at that level.
func (l *raftLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }

// Debug logs at that level.
func (l *raftLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }

// Info logs at that level.
func (l *raftLogger) Info(msg string, args ...any) { l.Log(hclog.Info, msg, args...) }

// Warn logs at that level.
func (l *raftLogger) Warn(msg string, args ...any) { l.Log(hclog.Warn, msg, args...) }

// Error logs at that level.
func (l *raftLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *raftLogger) enabled(level hclog.Level) bool {
	return l.log.Enabled(context.Background(), l.level(level))
}

// IsTrace reports whether that level is logged.
func (l *raftLogger) IsTrace() bool { return l.enabled(hclog.Trace) }

// IsDebug reports whether that level is logged.
func (l *raftLogger) IsDebug() bool { return l.enabled(hclog.Debug) }

// IsInfo reports whether that level is logged.
func (l *raftLogger) IsInfo() bool { return l.enabled(hclog.Info) }

// IsWarn reports whether that level is logged.
func (l *raftLogger) IsWarn() bool { return l.enabled(hclog.Warn) }

// IsError reports whether that level is logged.
func (l *raftLogger) IsError() bool { return l.enabled(hclog.Error) }

// ImpliedArgs returns the arguments that With added.
func (l *raftLogger) ImpliedArgs() []any { return l.args }

// With returns a logger that adds arguments.
func (l *raftLogger) With(args ...any) hclog.Logger {
	return &raftLogger{log: l.log.With(args...), name: l.name, args: append(append([]any(nil), l.args...), args...)}
}

// Name returns the logger's name.
func (l *raftLogger) Name() string { return l.name }

// Named returns a logger of another name, which slog does not show.
func (l *raftLogger) Named(name string) hclog.Logger {
	return &raftLogger{log: l.log, name: name, args: l.args}
}

// ResetNamed is Named.
func (l *raftLogger) ResetNamed(name string) hclog.Logger { return l.Named(name) }

// SetLevel does nothing: the slog handler decides.
func (l *raftLogger) SetLevel(hclog.Level) {}

// GetLevel returns the lowest level that is logged.
func (l *raftLogger) GetLevel() hclog.Level {
	if l.IsDebug() {
		return hclog.Debug
	}
	return hclog.Error
}

// StandardLogger returns a logger of the standard library; nothing in the Raft library asks for it.
func (l *raftLogger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger { //nolint:forbidigo // The interface wants it.
	return log.New(l.StandardWriter(opts), "", 0) //nolint:forbidigo // The interface wants it.
}

// StandardWriter returns a writer whose lines are logged for debugging.
func (l *raftLogger) StandardWriter(*hclog.StandardLoggerOptions) io.Writer {
	return slog.NewLogLogger(l.log.Handler(), slog.LevelDebug).Writer() //nolint:forbidigo // The interface wants it.
}
