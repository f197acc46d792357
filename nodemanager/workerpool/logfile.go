package workerpool

import (
	"errors"
	"fmt"
	"os"
)

// logFile is a file that holds the newest output: at its limit it becomes the old file, path + ".1", and a new one begins. It is made by the first
// write, so that a worker that prints nothing leaves no file. It belongs to one goroutine.
type logFile struct {
	path  string
	limit int64
	file  *os.File // nil before the first write
	size  int64
}

func (l *logFile) write(b []byte) error {
	if l.file != nil && l.size+int64(len(b)) > l.limit {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	n, err := l.file.Write(b)
	l.size += int64(n)
	if err != nil {
		return fmt.Errorf("write worker log: %w", err)
	}
	return nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open worker log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open worker log: %w", err), f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

func (l *logFile) rotate() error {
	if err := l.close(); err != nil {
		return err
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return fmt.Errorf("rotate worker log: %w", err)
	}
	return nil
}

func (l *logFile) close() error {
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return fmt.Errorf("close worker log: %w", err)
	}
	return nil
}
