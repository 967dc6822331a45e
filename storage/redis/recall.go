package redis

import (
	"sync"
	"time"
)

// memory is what a process remembers of records: a map of bounded size that is safe for concurrent use. It keeps two
// halves and drops the older one whole when the younger is full, so that what is used stays.
type memory[V any] struct {
	mu         sync.Mutex
	young, old map[string]*seen[V]
	half       int
	forgotten  uint64 // counts calls of forget
}

// seen is a value and from when it is.
type seen[V any] struct {
	value V
	at    time.Time
	// renewing: somebody reads it again already.
	renewing bool
}

func newMemory[V any](limit int) *memory[V] {
	return &memory[V]{young: map[string]*seen[V]{}, old: map[string]*seen[V]{}, half: max(1, limit/2)}
}

// get returns a value and its age.
func (m *memory[V]) get(key string) (value V, age time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.find(key)
	if s == nil {
		return value, 0, false
	}
	return s.value, time.Since(s.at), true
}

// find moves what is used to the younger half. The caller holds mu.
func (m *memory[V]) find(key string) *seen[V] {
	if s, ok := m.young[key]; ok {
		return s
	}
	s, ok := m.old[key]
	if !ok {
		return nil
	}
	delete(m.old, key)
	m.insert(key, s)
	return s
}

func (m *memory[V]) insert(key string, s *seen[V]) {
	if len(m.young) >= m.half {
		m.young, m.old = map[string]*seen[V]{}, m.young
	}
	m.young[key] = s
}

// put remembers a value that was read just now.
func (m *memory[V]) put(key string, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(key, value, time.Now())
}

func (m *memory[V]) set(key string, value V, at time.Time) {
	delete(m.old, key)
	m.insert(key, &seen[V]{value: value, at: at})
}

// forget drops a value that somebody here has changed, and with it all that is being read at this moment: see ticket.
func (m *memory[V]) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(key)
	m.forgotten++
}

// drop drops a value that turned out to be gone.
func (m *memory[V]) drop(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(key)
}

func (m *memory[V]) remove(key string) {
	delete(m.young, key)
	delete(m.old, key)
}

// ticket is taken before a read whose result shall be remembered by putIf.
func (m *memory[V]) ticket() ticket {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ticket{m.forgotten, time.Now()}
}

// A ticket says from when at the earliest a value is.
type ticket struct {
	forgotten uint64
	at        time.Time
}

// putIf remembers a value unless something was forgotten since the ticket was taken: the value may be from before. Its age
// counts from the ticket.
func (m *memory[V]) putIf(t ticket, key string, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forgotten == t.forgotten {
		m.set(key, value, t.at)
	}
}

// renew tells one caller at a time to read a value again.
func (m *memory[V]) renew(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.find(key)
	if s == nil || s.renewing {
		return false
	}
	s.renewing = true
	return true
}

// renewed ends what renew began, for reads that failed.
func (m *memory[V]) renewed(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.find(key); s != nil {
		s.renewing = false
	}
}
