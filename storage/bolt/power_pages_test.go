package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
)

// pages is a second reader of bbolt's file format, for files that nobody should trust. On a disk that lies a page may lead
// to itself or far outside; bbolt would follow it into a fault or for ever, which would end the test and not only the image.
type pages struct {
	file []byte
	size int            // of a page
	high uint64         // the first page that was never used
	seen map[uint64]int // page → how often it is used
}

const (
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketLeaf   = 0x01 // flag of an element
	pageHeader   = 16   // id, flags, count, overflow
	elementSize  = 16
	metaSize     = 64
)

var native = binary.NativeEndian

// checkPages follows all pages from the newest valid meta page on. A file that is not there is no error: Open will make it.
func checkPages(path string) error {
	file, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p := pages{file: file, size: os.Getpagesize(), seen: map[uint64]int{}}
	meta := p.newestMeta()
	if meta == nil {
		return errors.New("no meta page is valid")
	}
	root, freelist := native.Uint64(meta[16:]), native.Uint64(meta[32:])
	p.high = native.Uint64(meta[40:])
	if p.high > uint64(len(file)/p.size) {
		return fmt.Errorf("%d bytes for %d pages", len(file), p.high)
	}
	if err := p.free(freelist); err != nil {
		return fmt.Errorf("freelist: %w", err)
	}
	return p.walk(root)
}

func (p *pages) newestMeta() (newest []byte) {
	for i := range 2 {
		if len(p.file) < (i+1)*p.size {
			break
		}
		meta := p.file[i*p.size+pageHeader:][:metaSize]
		sum := fnv.New64a()
		_, _ = sum.Write(meta[:56])
		if sum.Sum64() != native.Uint64(meta[56:]) || native.Uint32(meta) != 0xED0CDAED {
			continue
		}
		if newest == nil || native.Uint64(meta[48:]) > native.Uint64(newest[48:]) {
			newest = meta
		}
	}
	return newest
}

// page returns a page with its overflow, once.
func (p *pages) page(id uint64) ([]byte, error) {
	if id < 2 || id >= p.high {
		return nil, fmt.Errorf("page %d of %d", id, p.high)
	}
	b := p.file[id*uint64(p.size):]
	more := uint64(native.Uint32(b[12:]))
	if native.Uint64(b) != id || more >= p.high-id {
		return nil, fmt.Errorf("page %d says that it is %d and %d more", id, native.Uint64(b), more)
	}
	for i := id; i <= id+more; i++ {
		if p.seen[i]++; p.seen[i] > 1 {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
	}
	return b[:(more+1)*uint64(p.size)], nil
}

func (p *pages) free(id uint64) error {
	b, err := p.page(id)
	if err != nil {
		return err
	}
	count, ids := uint64(native.Uint16(b[10:])), b[pageHeader:]
	if count == 0xFFFF {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if native.Uint16(b[8:]) != freelistPage || count > uint64(len(ids)/8) {
		return fmt.Errorf("page %d has flags %x and %d entries", id, native.Uint16(b[8:]), count)
	}
	for i := range count {
		free := native.Uint64(ids[8*i:])
		if free < 2 || free >= p.high {
			return fmt.Errorf("page %d of %d is free", free, p.high)
		}
		if p.seen[free]++; p.seen[free] > 1 {
			return fmt.Errorf("page %d is free and in use", free)
		}
	}
	return nil
}

// walk goes through a tree.
func (p *pages) walk(id uint64) error {
	b, err := p.page(id)
	if err != nil {
		return err
	}
	if err := p.elements(b); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (p *pages) elements(b []byte) error {
	flags, count := native.Uint16(b[8:]), int(native.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage || pageHeader+count*elementSize > len(b) {
		return fmt.Errorf("flags %x and %d elements", flags, count)
	}
	for i := range count {
		at := pageHeader + i*elementSize
		e := b[at : at+elementSize]
		if flags == branchPage {
			if end := uint64(at) + uint64(native.Uint32(e)) + uint64(native.Uint32(e[4:])); end > uint64(len(b)) {
				return fmt.Errorf("element %d ends at %d", i, end)
			}
			if err := p.walk(native.Uint64(e[8:])); err != nil {
				return err
			}
			continue
		}
		key := uint64(at) + uint64(native.Uint32(e[4:]))
		value := key + uint64(native.Uint32(e[8:]))
		end := value + uint64(native.Uint32(e[12:]))
		if end > uint64(len(b)) {
			return fmt.Errorf("element %d ends at %d", i, end)
		}
		if native.Uint32(e)&bucketLeaf != 0 {
			if err := p.bucket(b[value:end]); err != nil {
				return fmt.Errorf("bucket %q: %w", b[key:value], err)
			}
		}
	}
	return nil
}

// bucket is a root page, or a small page of its own behind the header.
func (p *pages) bucket(b []byte) error {
	if len(b) < 16 {
		return fmt.Errorf("%d bytes", len(b))
	}
	if root := native.Uint64(b); root != 0 {
		return p.walk(root)
	}
	if b = b[16:]; len(b) < pageHeader || native.Uint16(b[8:]) != leafPage {
		return errors.New("no page inside")
	}
	return p.elements(b)
}
