package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// writeNew makes a file of mode 0600 that appears whole or not at all, so that a machine that stops at the wrong moment
// leaves no half one behind. Where the name is taken the error wraps os.ErrExist, and that file stays as it is.
func writeNew(path string, write func(io.Writer) error) error {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // linked to its name by then, or of no use
	if err := errors.Join(write(temp), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link fails where the name is taken: of two that start at once, one wins.
	if err := os.Link(temp.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir)
}

// syncFolder puts the names in a folder on the disk.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// seekable returns the content of a file as something that can be read twice: the file itself, or a copy of what only
// flows by, in a temporary file of mode 0600. close releases it.
func seekable(path string, stdin io.Reader) (from io.ReadSeeker, close func(), err error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		info, err := f.Stat()
		if err == nil && info.Mode().IsRegular() {
			return f, func() { _ = f.Close() }, nil // it was only read
		}
		if err != nil || info.IsDir() {
			return nil, nil, errors.Join(fmt.Errorf("%s is not a file", path), err, f.Close())
		}
		defer func() { _ = f.Close() }()
		stdin = f
	}
	temp, err := os.CreateTemp("", "ingam-restore-") // mode 0600
	if err != nil {
		return nil, nil, err
	}
	close = func() { _, _ = temp.Close(), os.Remove(temp.Name()) } // a copy
	_, err = io.Copy(temp, stdin)
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		close()
		return nil, nil, err
	}
	return temp, close, nil
}
