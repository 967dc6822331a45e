package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// maxSocketPath is what every system takes: sun_path has 104 bytes on BSD and macOS, 108 on Linux, with a final zero.
const maxSocketPath = 103

// listenAdminSocket opens data_dir/admin.sock with mode 0600. A socket that a crashed server left behind is replaced;
// one that answers is an error.
func listenAdminSocket(ctx context.Context, dataDir string) (net.Listener, error) {
	path := filepath.Join(dataDir, adminSocket)
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is in the way and is not a socket; move it away", path)
		}
		if conn, err := dialAdminSocket(ctx, dataDir); err == nil {
			_ = conn.Close() // only asked whether somebody is there
			return nil, fmt.Errorf("another server is running on %s", dataDir)
		}
	}
	// What a start that was killed here has left. Where the embedded store is held, nobody else is at it; of two servers that
	// share a Redis and start at once on one folder, one may fail here.
	leftovers, _ := filepath.Glob(filepath.Join(dataDir, ".socket-*")) // the pattern is well formed
	for _, left := range leftovers {
		_ = os.RemoveAll(left) // it is in nobody's way
	}
	// Bound inside a folder that nobody else can enter, given its mode there, and only then moved to its name, which
	// also replaces a stale one: there is no moment at which somebody else could connect.
	private, err := os.MkdirTemp(dataDir, ".socket-")
	if err != nil {
		return nil, fmt.Errorf("make the admin socket: %w", err)
	}
	defer func() { _ = os.RemoveAll(private) }() // it holds nothing
	short, release, err := shortSocketPath(filepath.Join(private, "s"))
	if err != nil {
		return nil, fmt.Errorf("make the admin socket: %w", err)
	}
	defer release()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make the admin socket: %w", err)
	}
	listener.SetUnlinkOnClose(false) // it would unlink a name that is no longer its own
	err = errors.Join(os.Chmod(short, 0o600), os.Rename(filepath.Join(private, "s"), path))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the admin socket: %w", err), listener.Close())
	}
	return removingListener{listener, path}, nil
}

// dialAdminSocket connects to the server that runs on a data folder.
func dialAdminSocket(ctx context.Context, dataDir string) (net.Conn, error) {
	short, release, err := shortSocketPath(filepath.Join(dataDir, adminSocket))
	if err != nil {
		return nil, err
	}
	defer release()
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", short)
}

// shortSocketPath returns another name of the same file that fits into a socket address, for as long as release was
// not called. A path that is too long is reached through a link in the folder for temporary files.
func shortSocketPath(path string) (short string, release func(), err error) {
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	temp, err := os.MkdirTemp("", "ingam")
	if err != nil {
		return "", nil, err
	}
	release = func() { _ = os.RemoveAll(temp) } // removes the link, not what it points to
	link := filepath.Join(temp, "d")
	if err := os.Symlink(folder, link); err != nil {
		release()
		return "", nil, err
	}
	return filepath.Join(link, filepath.Base(path)), release, nil
}

// removingListener removes its socket when it is closed, and tells the name that others know it by.
type removingListener struct {
	net.Listener
	path string
}

func (l removingListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

func (l removingListener) Close() error {
	return errors.Join(l.Listener.Close(), ignoreMissing(os.Remove(l.path)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
