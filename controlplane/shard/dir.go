package shard

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

const (
	identityFile = "shard.json"
	// newLogFile is the log until the first configuration is in it, so that a start that was cut off leaves no log behind.
	newLogFile = "raft.db.new"
	// formatVersion is the version of what is in the directory.
	formatVersion = 1
)

// identity is shard.json: what the directory belongs to. It is written once, after the log exists and before anything is
// acknowledged.
type identity struct {
	// Format is the version of what is in the directory.
	Format int `json:"format"`
	// Shard is the number of the shard.
	Shard uint32 `json:"shard"`
	// ClusterID tells clusters apart; random.
	ClusterID string `json:"cluster_id"`
	// ServerID is this server's id in the Raft group; random, so that a server that lost its disk is not taken for itself.
	ServerID string `json:"server_id"`
}

func newIdentity(shard uint32) identity {
	return identity{Format: formatVersion, Shard: shard, ClusterID: randomID(), ServerID: randomID()}
}

func randomID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // Never an error.
	return hex.EncodeToString(id[:])
}

// readIdentity reads shard.json; it reports false if there is none.
func readIdentity(dir string, shard uint32) (identity, bool, error) {
	path := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, false, nil
	}
	if err != nil {
		return identity{}, false, fmt.Errorf("read identity: %w", err)
	}
	var id identity
	switch err := json.Unmarshal(data, &id); {
	case err != nil:
		return identity{}, false, &CorruptError{Path: path, Err: err}
	case id.Format > formatVersion:
		return identity{}, false, fmt.Errorf("%s has format %d, this build knows %d: run a newer mobula", path, id.Format, formatVersion)
	case id.Format != formatVersion || id.ServerID == "" || id.Shard != shard:
		return identity{}, false, corrupt(path, "it is not about shard %d", shard)
	}
	return id, true, nil
}

// writeIdentity writes shard.json whole or not at all.
func writeIdentity(dir string, id identity) error {
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	path := filepath.Join(dir, identityFile)
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		return fmt.Errorf("write identity: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes renames in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// createLog makes a new log that holds the group's first configuration, with this server as its only voter, and gives it its
// name when that is durable.
func createLog(dir string, conf *raft.Config, snaps raft.SnapshotStore, trans raft.Transport) (durable, error) {
	path := filepath.Join(dir, newLogFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove incomplete log: %w", err)
	}
	s, err := openBolt(dir, newLogFile, false)
	if err != nil {
		return nil, err
	}
	if err := bootstrap(conf, s, snaps, trans); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := errors.Join(os.Rename(path, filepath.Join(dir, logFile)), syncDir(dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("name log: %w", err), s.Close())
	}
	return s, nil
}

// bootstrap writes the first configuration of a group, whose only voter is this server.
func bootstrap(conf *raft.Config, s durable, snaps raft.SnapshotStore, trans raft.Transport) error {
	only := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: conf.LocalID, Address: trans.LocalAddr()}}}
	if err := raft.BootstrapCluster(conf, s, s, snaps, trans, only); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// exists reports whether there is a file.
func exists(path string) (bool, error) {
	switch _, err := os.Stat(path); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, fmt.Errorf("stat %s: %w", path, err)
	}
}
