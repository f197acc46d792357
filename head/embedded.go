package head

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/mobula-dev/mobula/internal/takeover"
)

// EmbeddedSetting is the setting of a node's role that carries its Config, as JSON.
const EmbeddedSetting = "head"

// ServeEmbedded is a node that a driver has started for itself: it serves the driver on the role's descriptor and ends with it. A signal ends it as it
// ends any process, and its workers with it; the driver removes its directory.
func ServeEmbedded(child *takeover.Child) error {
	var cfg Config
	if err := json.Unmarshal([]byte(child.Settings[EmbeddedSetting]), &cfg); err != nil {
		return errors.Join(fmt.Errorf("read the node's settings: %w", err), child.Refuse(err.Error()))
	}
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	gone := make(chan struct{})
	var once sync.Once
	cfg.OwnerGone = func() { once.Do(func() { close(gone) }) }
	signal.Ignore(syscall.SIGTTOU) // its warnings go to a terminal of which it is not in the foreground
	h, err := Open(context.Background(), cfg)
	if err != nil {
		return errors.Join(err, child.Refuse(err.Error()))
	}
	if err := child.Ready(); err != nil {
		return errors.Join(err, h.Close())
	}
	serve := make(chan error, 1)
	go func() { serve <- h.ServeOwner(child.Conn()) }()
	select {
	case <-gone:
	case err = <-serve:
	}
	return errors.Join(err, h.Close(), os.RemoveAll(cfg.Dir))
}
