package redis

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/storagetest/property"
)

// entryScripts are the ones of entries and of indexes.
type entryScripts struct{ create, read, replace, take, list script }

func timedEntryScripts(t *testing.T) entryScripts {
	t.Helper()
	return entryScripts{
		create: timed(t, scriptEntryCreate), read: timed(t, scriptEntryRead), replace: timed(t, scriptEntryReplace),
		take: timed(t, scriptEntryTake), list: timed(t, scriptIndexRead),
	}
}

// What the scripts of entries do is what a map would do, to the microsecond; and the index has each live entry once, in order.
func TestTheScriptsOfEntriesAreTheirSpecification(t *testing.T) {
	property.Holds(t, property.Count(500, 10_000), entriesAsSpecified(newBench(t), timedEntryScripts(t)))
}

// entryModel is the specification: a map. Entries that have ended stay in it and are not found.
type entryModel struct {
	b       *bench
	sc      entryScripts
	kind    string
	entries map[string]storage.Entry
	data    int
	// last is how the last change was asked for, to ask for it once more.
	last func() (any, error)
	// again is what it was told, if asking again has to say the same.
	again any
}

func (m *entryModel) find(id string) (storage.Entry, bool) {
	e, ok := m.entries[id]
	return e, ok && (e.ExpiresAt.IsZero() || m.b.now.Before(e.ExpiresAt))
}

func entriesAsSpecified(b *bench, sc entryScripts) func(*rapid.T) {
	return func(t *rapid.T) {
		b.keys++
		b.now = b.base
		m := &entryModel{b: b, sc: sc, kind: fmt.Sprint("k", b.keys), entries: map[string]storage.Entry{}}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			id := rapid.SampledFrom([]string{"a", "a b", "b"}).Draw(t, "id")
			switch rapid.SampledFrom([]string{"create", "create", "replace", "replace", "take", "again"}).Draw(t, "verb") {
			case "create":
				m.create(t, id)
			case "replace":
				m.replace(t, id)
			case "take":
				m.take(t, id)
			case "again":
				m.ask(t)
			}
			m.look(t, id)
			if rapid.Bool().Draw(t, "time passes") {
				m.last = nil
				b.now = later(b.now, near(t, "now", b.now, b.base.Add(time.Minute), b.base.Add(2*time.Minute)))
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// drawEnd draws a time at which an entry ends, or never.
func (m *entryModel) drawEnd(t *rapid.T) time.Time {
	if rapid.IntRange(0, 3).Draw(t, "never") == 0 {
		return time.Time{}
	}
	return near(t, "end", m.b.now, m.b.base.Add(time.Minute), m.b.base.Add(2*time.Minute))
}

func (m *entryModel) draw(t *rapid.T, id string) storage.Entry {
	m.data++
	return storage.Entry{
		Kind: m.kind, ID: id, Data: json.RawMessage(strconv.Itoa(m.data)), Version: 1, ExpiresAt: m.drawEnd(t),
		Owner: rapid.SampledFrom([]string{"", "u", "u", "v"}).Draw(t, "owner"),
	}
}

func (m *entryModel) expect(t *rapid.T, what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s at %s of %+v:\nthe script says %v, not %v", what, m.b.now, m.entries, got, want)
	}
}

// ask asks for the last change once more, as after a reply that got lost.
func (m *entryModel) ask(t *rapid.T) {
	if m.last != nil {
		reply, err := m.last()
		m.b.ok(err)
		m.expect(t, "the same attempt again", status(reply), m.again)
	}
}

// status is the first word of a reply.
func status(reply any) any {
	if rows, ok := reply.([]any); ok {
		return rows[0]
	}
	return reply
}

func (m *entryModel) create(t *rapid.T, id string) {
	e := m.draw(t, id)
	args, err := entryCreation(e, member{id, newAttempt()})
	m.b.ok(err)
	keys := []string{m.b.s.names.entry(m.kind, id)}
	if e.Owner != "" {
		keys = append(keys, m.b.s.names.owned(m.kind, e.Owner))
	}
	_, found := m.find(id)
	m.again = "ok"
	if found {
		m.again = "exists"
	} else {
		m.entries[id] = e
	}
	m.last = func() (any, error) { return m.b.runOn(m.sc.create, keys, args...) }
	m.ask(t)
}

func (m *entryModel) replace(t *rapid.T, id string) {
	e := m.draw(t, id)
	stored, found := m.find(id)
	e.Version = uint64(max(0, int64(stored.Version)+rapid.SampledFrom([]int64{0, 0, 0, 1, -1}).Draw(t, "version")))
	text, err := encodeEntry(e)
	m.b.ok(err)
	attempt := newAttempt()
	switch {
	case !found:
		m.again = "absent"
	case e.Version != stored.Version:
		m.again = "conflict"
	default:
		m.again = "ok"
		e.Version, e.Owner = stored.Version+1, stored.Owner
		m.entries[id] = e
	}
	read := stored.Version
	if m.again != "ok" {
		read = e.Version
	}
	m.last = func() (any, error) {
		return m.b.run(m.sc.replace, m.b.s.names.entry(m.kind, id), read, text, ending(e.ExpiresAt), id, attempt,
			m.b.s.names.owned(m.kind, ""), "", 0)
	}
	m.ask(t)
	if _, lives := m.find(id); !lives {
		m.last = nil // replaced by nothing: asked again it is absent
	}
}

func (m *entryModel) take(t *rapid.T, id string) {
	want, found := m.find(id)
	delete(m.entries, id)
	m.last = nil
	reply, err := m.b.run(m.sc.take, m.b.s.names.entry(m.kind, id), id, m.b.s.names.owned(m.kind, ""), 0)
	m.b.ok(err)
	fields, taken := reply.([]any)
	m.expect(t, "taken", taken, found)
	if taken {
		got, err := decodeEntry(fields)
		m.b.ok(err)
		m.expect(t, "what was taken", got, want)
	}
}

// look compares all that can be read.
func (m *entryModel) look(t *rapid.T, id string) {
	want, found := m.find(id)
	reply, err := m.b.run(m.sc.read, m.b.s.names.entry(m.kind, id))
	m.expect(t, "found", err == nil, found)
	if found {
		fields, _ := reply.([]any)
		got, err := decodeEntry(fields)
		m.b.ok(err)
		m.expect(t, "read", got, want)
	}
	limit, last := rapid.IntRange(1, 4).Draw(t, "limit"), rapid.Bool().Draw(t, "last first")
	for _, owner := range []string{"u", "v"} {
		reply, err := m.b.run(m.sc.list, m.b.s.names.owned(m.kind, owner), limit, bit(last))
		m.b.ok(err)
		rows, _ := reply.([]any)
		got := []string{}
		for _, row := range rows[1:] {
			text, _ := row.(string)
			got = append(got, parseMember(text).id)
		}
		m.expect(t, "listed for "+owner, got, m.listed(owner, limit, last))
	}
}

func (m *entryModel) listed(owner string, limit int, last bool) []string {
	var list []storage.Entry
	for id, e := range m.entries {
		if _, lives := m.find(id); lives && e.Owner == owner {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, inOrder)
	if last {
		slices.Reverse(list)
	}
	ids := []string{}
	for _, e := range list[:min(limit, len(list))] {
		ids = append(ids, e.ID)
	}
	return ids
}

// Each of these scripts is wrong in one place, and must be found.
func TestAScriptOfEntriesThatIsWrongIsFound(t *testing.T) {
	create := func(sc *entryScripts) *script { return &sc.create }
	read := func(sc *entryScripts) *script { return &sc.read }
	replace := func(sc *entryScripts) *script { return &sc.replace }
	take := func(sc *entryScripts) *script { return &sc.take }
	list := func(sc *entryScripts) *script { return &sc.list }
	for name, wrong := range map[string]struct {
		which     func(*entryScripts) *script
		text, bad string
	}{
		"what has ended is in the way":         {create, "if not ended(stored[1], now) then", "if true then"},
		"what lives is overwritten":            {create, "if not ended(stored[1], now) then", "if false then"},
		"a creation does not know itself":      {create, "if stored[2] == ARGV[6] then", "if false then"},
		"a creation is not in the index":       {create, "if KEYS[2] then", "if false then"},
		"the owner is not noted":               {create, "'owner', ARGV[2]", "'owner', ''"},
		"everything in the index is over":      {create, "'-inf', string.format('%.0f', now)", "'-inf', '+inf'"},
		"it lives in its last instant":         {read, "now >= tonumber(ending)", "now > tonumber(ending)"},
		"it lives for ever":                    {read, "not e[4] or ended(e[4], now)", "not e[4]"},
		"any version will do":                  {replace, "if tonumber(stored[1]) ~= tonumber(ARGV[1]) then", "if false then"},
		"an older version will do":             {replace, "if tonumber(stored[1]) ~= tonumber(ARGV[1]) then", "if tonumber(stored[1]) < tonumber(ARGV[1]) then"},
		"what has ended is replaced":           {replace, "if not stored[1] or ended(stored[3], now) then", "if not stored[1] then"},
		"a replacement does not know itself":   {replace, "and stored[4] == ARGV[5] then", "and false then"},
		"everybody is the one who replaced it": {replace, "and stored[4] == ARGV[5] then", "then"},
		"the version stays":                    {replace, "'version', ARGV[1] + 1", "'version', ARGV[1]"},
		"the end stays":                        {replace, "'end', ARGV[3], ", ""},
		"the data stays":                       {replace, "'record', ARGV[2], ", ""},
		"it is in the index twice":             {replace, "redis.call('ZREM', ARGV[6] .. owner, ARGV[4] .. ' ' .. stored[4])", ""},
		"the index has the end of before":      {replace, "if not ended(ARGV[3], now) then own", "if false then own"},
		"what was taken is still there":        {take, "redis.call('DEL', KEYS[1])\nif ARGV[2]", "if ARGV[2]"},
		"what has ended is taken":              {take, "if not e[5] or ended(e[5], now) then", "if not e[5] then"},
		"what was taken is in the index":       {take, "if ARGV[2] ~= '' and", "if false and"},
		"what ends now is listed":              {list, "ZRANGE', KEYS[1], '(' .. now", "ZRANGE', KEYS[1], now"},
		"the last are the first":               {list, "if ARGV[2] == '1' then", "if ARGV[2] == '0' then"},
		"all are listed":                       {list, "'+inf', 'BYSCORE', 'LIMIT', 0, ARGV[1])", "'+inf', 'BYSCORE')"},
	} {
		t.Run(name, func(t *testing.T) {
			sc := timedEntryScripts(t)
			bad := wrong.which(&sc)
			*bad = mutated(t, *bad, wrong.text, wrong.bad)
			property.Refuted(t, 10_000, entriesAsSpecified(newBench(t), sc))
		})
	}
}

// The whole way, on one server and on a cluster: any sequence of verbs, of two nodes, does what a map would do.
func TestEntriesOfTheStoreAreAMap(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		t.Helper()
		nodes := []*Store{open(t, cfg), reopen(t, cfg)}
		round := 0
		property.Holds(t, property.Count(100, 2000), func(rt *rapid.T) {
			round++
			m := &entryModel{b: &bench{now: time.Now()}, kind: fmt.Sprint("k", round), entries: map[string]storage.Entry{}}
			for range rapid.IntRange(1, 15).Draw(rt, "steps") {
				s := rapid.SampledFrom(nodes).Draw(rt, "node")
				id := rapid.SampledFrom([]string{"a", "a b", "b", "c"}).Draw(rt, "id")
				m.verb(rt, s, id)
				for _, owner := range []string{"", "u", "v"} {
					list, err := s.EntriesOf(rt.Context(), m.kind, owner, 2)
					var ids []string
					for _, e := range list {
						ids = append(ids, e.ID)
					}
					want := strings.Join(m.listed(owner, 2, false), ",")
					if got := strings.Join(ids, ","); owner != "" && got != want || err != nil || owner == "" && got != "" {
						rt.Fatalf("of %q: %s, %v, want %s of %+v", owner, got, err, want, m.entries)
					}
				}
			}
		})
	})
}

// verb does one thing to the store and to the map.
func (m *entryModel) verb(t *rapid.T, s *Store, id string) {
	e := m.draw(t, id)
	if !e.ExpiresAt.IsZero() {
		e.ExpiresAt = m.b.now.Add(time.Hour * time.Duration(rapid.IntRange(1, 5).Draw(t, "hours"))).UTC()
	}
	stored, found := m.entries[id]
	verb := rapid.SampledFrom([]string{"create", "create", "replace", "replace", "take"}).Draw(t, "verb")
	var err, want error
	switch verb {
	case "create":
		err = s.CreateEntry(t.Context(), e)
		if found {
			want = storage.ErrExists
		}
	case "replace":
		e.Version = cmp.Or(stored.Version, 1) + rapid.SampledFrom([]uint64{0, 0, 0, 1}).Draw(t, "version")
		err = s.ReplaceEntry(t.Context(), e)
		if !found {
			want = storage.ErrNotFound
		} else if e.Version != stored.Version {
			want = storage.ErrConflict
		}
		e.Version, e.Owner = e.Version+1, stored.Owner
	default:
		e, err = s.TakeEntry(t.Context(), m.kind, id)
		if !found {
			want = storage.ErrNotFound
		} else if !reflect.DeepEqual(e, stored) {
			t.Fatalf("took %+v, not %+v", e, stored)
		}
	}
	if err != want { //nolint:errorlint // the very error, and nothing around it
		t.Fatalf("%s of %+v on %+v: %v, want %v", verb, e, m.entries, err, want)
	}
	switch {
	case err != nil:
	case verb == "take":
		delete(m.entries, id)
	default:
		m.entries[id] = e
	}
}
