package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A disk keeps the history of some files under a folder, and knows of each change when it began and from when on it is
// safe: no promise is made before a sync that began after the change had ended has ended itself. What is not safe may be
// there after a power cut, or not, or in parts, each change for itself. That is more than real file systems do to us.
type disk struct {
	root    string
	files   map[string]*file // as the running process sees them, by path
	open    map[int64]*file
	folders map[string]*file
	every   []*file // with its folders
	now     int     // index of the event
}

// file or folder. A folder's changes are names that come and go.
type file struct {
	path    string // of a folder
	changes []*change
}

// never is later than every event.
const never = math.MaxInt

type change struct {
	began, ended, safe int
	kind               byte // w: write, s: size, +: name, -: name
	offset             int64
	data               []byte
	name               string
	target             *file
}

// sector is what a disk writes as a whole.
const sector = 512

// lies tell which syncs do not count: this is how the checks are checked. nil is an honest disk.
type lies func(s *synced) bool

// synced is what a sync makes safe.
type synced struct {
	changes []*change
	folder  bool
	meta    bool // one of bbolt's two first pages is among them: the second sync of a commit
}

// replay builds the history of what is under root, which must exist and be empty when the trace begins. It refuses a trace
// with a call whose effect it does not know.
func replay(root string, events []event, lie lies) (*disk, error) {
	top := &file{path: root}
	d := &disk{
		root: root, files: map[string]*file{}, open: map[int64]*file{}, folders: map[string]*file{root: top},
		every: []*file{top},
	}
	running := map[*sysCall]any{} // the change that a call makes, or those that a sync makes safe
	for i, e := range events {
		d.now = i
		if !e.ends {
			effect, err := d.begin(e.sysCall)
			if err != nil {
				return nil, fmt.Errorf("event %d: %s(%.200s): %w", i, e.name, strings.Join(e.args, ", "), err)
			}
			if effect != nil {
				running[e.sysCall] = effect
			}
			continue
		}
		switch effect := running[e.sysCall].(type) {
		case *change:
			if e.result < 0 || (effect.kind == 'w' && e.result != int64(len(effect.data))) {
				return nil, fmt.Errorf("event %d: %s failed", i, e.name)
			}
			effect.ended = i
		case *synced:
			if e.result == 0 && (lie == nil || !lie(effect)) {
				for _, c := range effect.changes {
					c.safe = min(c.safe, i)
				}
			}
		}
		if err := d.end(e.sysCall); err != nil {
			return nil, fmt.Errorf("event %d: %s: %w", i, e.name, err)
		}
		delete(running, e.sysCall)
	}
	return d, nil
}

// begin notes what a call may do from now on.
func (d *disk) begin(c *sysCall) (any, error) {
	switch c.name {
	case "pwrite64", "ftruncate", "fdatasync", "fsync", "write", "fallocate", "writev", "pwritev", "pwritev2":
		fd, err := c.number(0)
		f := d.open[fd]
		if err != nil || f == nil {
			return nil, err // the pipe, a file of the kernel
		}
		return d.beginOn(f, c)
	case "openat", "mkdirat", "unlinkat", "linkat", "close":
		return d.beginName(c)
	case "mmap":
		fd, err := c.number(4)
		if err == nil && d.open[fd] != nil && strings.Contains(c.args[2], "PROT_WRITE") && strings.Contains(c.args[3], "MAP_SHARED") {
			return nil, errors.New("a file is changed through memory")
		}
		return nil, nil
	}
	return nil, errors.New("a call whose effect on a disk is not known here")
}

func (d *disk) beginOn(f *file, c *sysCall) (any, error) {
	switch c.name {
	case "pwrite64":
		data, err := c.bytes(1)
		offset, offsetErr := c.number(3)
		return d.change(f, change{kind: 'w', offset: offset, data: data}), errors.Join(err, offsetErr)
	case "ftruncate":
		size, err := c.number(1)
		return d.change(f, change{kind: 's', offset: size}), err
	case "fdatasync", "fsync":
		s := &synced{folder: f.path != ""}
		for _, done := range f.changes {
			// fdatasync promises a size only as far as data needs it.
			if done.ended < d.now && done.safe == never && (done.kind != 's' || c.name == "fsync") {
				s.changes = append(s.changes, done)
				s.meta = s.meta || done.kind == 'w' && done.offset < int64(2*os.Getpagesize())
			}
		}
		return s, nil
	}
	return nil, errors.New("a way to write that is not known here")
}

// beginName handles calls on names. Absolute paths only: the store uses no others.
func (d *disk) beginName(c *sysCall) (any, error) {
	switch c.name {
	case "close": // from now on somebody else may get the number
		fd, err := c.number(0)
		delete(d.open, fd)
		return nil, err
	case "openat":
		path, err := d.path(c, 1)
		if path == "" || err != nil || !strings.Contains(c.args[2], "O_CREAT") {
			return nil, err
		}
		if strings.Contains(c.args[2], "O_TRUNC") || d.files[path] != nil {
			return nil, errors.New("an old file is opened to be made anew")
		}
		d.files[path] = &file{}
		d.every = append(d.every, d.files[path])
		return d.name('+', path, d.files[path])
	case "mkdirat":
		path, err := d.path(c, 1)
		if path == "" || err != nil {
			return nil, err
		}
		folder := &file{path: path}
		d.folders[path] = folder
		d.every = append(d.every, folder)
		return d.name('+', path, folder)
	case "unlinkat":
		path, err := d.path(c, 1)
		if path == "" || err != nil {
			return nil, err
		}
		delete(d.files, path)
		return d.name('-', path, nil)
	case "linkat":
		from, err := d.path(c, 1)
		to, toErr := d.path(c, 3)
		if from == "" || to == "" || err != nil || toErr != nil {
			return nil, errors.Join(err, toErr)
		}
		d.files[to] = d.files[from]
		return d.name('+', to, d.files[from])
	}
	return nil, nil
}

// end gives numbers to files.
func (d *disk) end(c *sysCall) error {
	if c.name == "openat" && c.result >= 0 {
		path, err := d.path(c, 1)
		if err != nil || path == "" {
			return err
		}
		f := d.files[path]
		if f == nil {
			f = d.folders[path]
		}
		if f == nil {
			return fmt.Errorf("%s was opened and never made", path)
		}
		d.open[c.result] = f
	}
	return nil
}

// path returns a path at or under the root, or "".
func (d *disk) path(c *sysCall, argument int) (string, error) {
	name, err := c.bytes(argument)
	path := string(name)
	if err != nil || path != d.root && !strings.HasPrefix(path, d.root+"/") {
		return "", err
	}
	return path, nil
}

func (d *disk) name(kind byte, path string, target *file) (any, error) {
	folder := d.folders[filepath.Dir(path)]
	if folder == nil {
		return nil, fmt.Errorf("%s is in no folder", path)
	}
	return d.change(folder, change{kind: kind, name: filepath.Base(path), target: target}), nil
}

func (d *disk) change(f *file, c change) *change {
	c.began, c.ended, c.safe = d.now, never, never
	f.changes = append(f.changes, &c)
	return &c
}

// undecided tells whether a cut comes where something may be there or not.
func (d *disk) undecided(at int) bool {
	for _, f := range d.every {
		for _, c := range f.changes {
			if c.began < at && c.safe >= at {
				return true
			}
		}
	}
	return false
}

// fate of the changes that are not safe: each for itself, or all alike.
type fate int

const (
	fateNone fate = iota
	fateAll
	fateMixed // every number from here on
	fates     = fateMixed + 3
)

// cut writes what may be there after the power failed just before an event.
func (d *disk) cut(at int, into string) error {
	return d.restore(d.folders[d.root], at, into, fate(rand.IntN(int(fates))))
}

func (d *disk) restore(folder *file, at int, into string, luck fate) error {
	names := map[string]*file{}
	for _, c := range folder.changes {
		if c.began >= at || (c.safe >= at && !luck.has()) {
			continue
		}
		if c.kind == '+' {
			names[c.name] = c.target
		} else {
			delete(names, c.name)
		}
	}
	for name, f := range names {
		path := filepath.Join(into, name)
		if f.path != "" {
			if err := errors.Join(os.Mkdir(path, 0o700), d.restore(f, at, path, luck)); err != nil {
				return err
			}
			continue
		}
		if err := os.WriteFile(path, f.contents(at, luck), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (l fate) has() bool {
	return l == fateAll || (l >= fateMixed && rand.IntN(2) == 0)
}

func (f *file) contents(at int, luck fate) []byte {
	var b []byte
	for _, c := range f.changes {
		safe := c.safe < at
		switch {
		case c.began >= at:
		case c.kind == 's' && (safe || luck.has()):
			b = resized(b, c.offset)
		case c.kind == 'w' && safe:
			b = grown(b, c.offset+int64(len(c.data)))
			copy(b[c.offset:], c.data)
		case c.kind == 'w' && luck.has():
			b = c.torn(b, luck)
		case c.kind == 'w' && luck.has(): // the size has come and the data has not
			b = grown(b, c.offset+int64(len(c.data)))
		}
	}
	return b
}

// torn applies a write, or some sectors of it.
func (c *change) torn(b []byte, luck fate) []byte {
	whole := luck == fateAll || rand.IntN(2) == 0
	cutAt := rand.IntN(len(c.data)/sector + 1)
	inOrder := rand.IntN(2) == 0
	for i := 0; i < len(c.data); i += sector {
		there := whole || (inOrder && i/sector < cutAt) || (!inOrder && rand.IntN(2) == 0)
		if !there {
			continue
		}
		part := c.data[i:min(i+sector, len(c.data))]
		b = grown(b, c.offset+int64(i+len(part)))
		copy(b[c.offset+int64(i):], part)
	}
	return b
}

func grown(b []byte, size int64) []byte { return resized(b, max(size, int64(len(b)))) }

func resized(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, bytes.Repeat([]byte{0}, int(size)-len(b))...)
}

// said returns the lines that the child had begun to write to its standard output before an event.
func said(events []event, at int) ([]string, error) {
	var out []byte
	for _, e := range events[:at] {
		if !e.ends && e.name == "write" && e.args[0] == "1" {
			text, err := e.bytes(1)
			if err != nil {
				return nil, err
			}
			out = append(out, text...)
		}
	}
	return slices.Collect(strings.Lines(string(out))), nil
}
