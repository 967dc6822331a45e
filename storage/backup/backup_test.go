package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// samples is one record of each kind, and a second client. Their times have nanoseconds and a zone.
func samples(now time.Time) []storage.Record {
	now = now.In(time.FixedZone("elsewhere", 3600)).Add(789 * time.Nanosecond)
	hash := bytes.Repeat([]byte{7}, 32)
	return []storage.Record{
		{Client: &storage.Client{ID: "web", GrantTypes: []string{"password"}, Version: 3, CreatedAt: now}},
		{Client: &storage.Client{ID: "cli", Public: true, Version: 1}},
		{User: &storage.User{ID: "usr_1", Username: "alice", PasswordHash: "$argon2id$x", Version: 2, Claims: map[string]any{
			"name": "Alice <a&b> \u2028", "n": 1.5, "deep": map[string]any{"list": []any{true, nil, "x"}},
		}}},
		{Grant: &storage.Grant{
			ID: "g1", ClientID: "web", UserID: "usr_1", Nonce: []byte{1, 2}, Generation: 4, AuthTime: now, BornAt: now,
			RotatedAt: now, Attempt: "a", IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(10 * time.Hour),
		}},
		{KeyRing: &storage.KeyRing{Version: 2, Keys: []storage.SealedKey{{ID: "k", Use: "sig", CreatedAt: now, Sealed: []byte{9}}}}},
		{Budget: &storage.BudgetState{KeyHash: hash, FullAt: now.Add(time.Hour)}},
		{Mark: &storage.MarkState{KeyHash: hash, Until: now.Add(time.Hour)}},
		{Entry: &storage.Entry{
			Kind: "session", ID: "s1", Owner: "usr_1", Data: []byte(`{"a":"<b>&","n":9007199254740993}`), Version: 3, ExpiresAt: now.Add(time.Hour),
		}},
		{Entry: &storage.Entry{Kind: "consent", ID: "c1", Data: []byte(`[1]`), Version: 1}},
	}
}

// yielding is an export.
func yielding(records ...storage.Record) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func tallyOf(t *testing.T, records ...storage.Record) (all Tally) {
	t.Helper()
	for _, r := range records {
		if err := all.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func written(t *testing.T, records ...storage.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	tally, err := Write(&b, "test", yielding(records...))
	if err != nil || tally != tallyOf(t, records...) {
		t.Fatal(tally, err)
	}
	return b.Bytes()
}

func TestWhatWasWrittenIsReadAgainAndFillsAStoreWithTheSame(t *testing.T) {
	all := samples(time.Now())
	text := written(t, all...)
	header, tally, err := Verify(bytes.NewReader(text))
	if err != nil || tally != tallyOf(t, all...) || header.Source != "test" || header.Version != 2 || time.Since(header.Time) > time.Minute {
		t.Fatal(header, tally, err)
	}
	if want := (Counts{2, 1, 1, 1, 1, 1, 2}); tally.Counts != want || want.Total() != len(all) {
		t.Errorf("%+v", tally.Counts)
	}
	r, err := NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	if err := store.Import(t.Context(), r.Records()); err != nil {
		t.Fatal(err)
	}
	again := written(t, collect(t, store)...)
	if _, tally, err := Verify(bytes.NewReader(again)); err != nil || tally != r.Tally() {
		t.Errorf("%+v, %v, want %+v", tally, err, r.Tally())
	}
	// A store without records makes a backup as well.
	if _, tally, err := Verify(bytes.NewReader(written(t))); err != nil || tally.Counts.Total() != 0 {
		t.Error(tally, err)
	}
}

func collect(t *testing.T, s Exporter) (all []storage.Record) {
	t.Helper()
	for r, err := range s.Export(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestTheDigestDependsOnEveryRecordAndNotOnTheirOrder(t *testing.T) {
	all := samples(time.Now())
	want := tallyOf(t, all...)
	slices.Reverse(all)
	if got := tallyOf(t, all...); got != want {
		t.Errorf("in another order: %v, want %v", got, want)
	}
	for i, r := range all {
		if got := tallyOf(t, slices.Delete(slices.Clone(all), i, i+1)...); got.Digest == want.Digest {
			t.Errorf("without record %d: the same digest", i)
		}
		if got := tallyOf(t, append(slices.Clone(all), r, r)...); got.Digest == want.Digest {
			t.Errorf("record %d twice more: the same digest", i)
		}
	}
	slices.Reverse(all)
	changed := *all[3].Grant
	changed.Generation++
	if got := tallyOf(t, slices.Replace(slices.Clone(all), 3, 4, storage.Record{Grant: &changed})...); got.Digest == want.Digest {
		t.Error("another generation: the same digest")
	}
	var carry Digest
	ff, one := [32]byte(bytes.Repeat([]byte{0xff}, 32)), [32]byte{31: 1}
	if carry.add(ff); carry != Digest(ff) {
		t.Error(carry)
	}
	if carry.add(one); carry != (Digest{}) {
		t.Errorf("2^256 - 1 + 1 is %v", carry)
	}
}

// Some stores keep less of a time than others: what they give back counts as the same.
func TestTheCanonicalFormCoversEveryTimeOfRecordsThatStoresEncodeThemselves(t *testing.T) {
	instant := time.Date(2026, 1, 2, 3, 4, 5, 123_456_789, time.FixedZone("elsewhere", 3600))
	up := time.Date(2026, 1, 2, 2, 4, 5, 123_457_000, time.UTC)
	fill := func(v any, to time.Time) {
		times := 0
		for _, f := range reflect.ValueOf(v).Elem().Fields() {
			if _, ok := f.Interface().(time.Time); ok {
				f.Set(reflect.ValueOf(to))
				times++
			}
		}
		if times == 0 {
			t.Fatalf("%T has no times", v)
		}
	}
	hash := make([]byte, 32)
	for _, pair := range [][2]storage.Record{
		{{Grant: &storage.Grant{ID: "g"}}, {Grant: &storage.Grant{ID: "g"}}},
		{{Budget: &storage.BudgetState{KeyHash: hash}}, {Budget: &storage.BudgetState{KeyHash: hash}}},
		{{Mark: &storage.MarkState{KeyHash: hash}}, {Mark: &storage.MarkState{KeyHash: hash}}},
		{
			{Entry: &storage.Entry{Kind: "k", ID: "e", Data: []byte(` { "a" : "<" } `)}},
			{Entry: &storage.Entry{Kind: "k", ID: "e", Data: []byte(`{"a":"<"}`)}},
		},
	} {
		for i, to := range []time.Time{instant, up} {
			switch r := pair[i]; {
			case r.Grant != nil:
				fill(r.Grant, to)
			case r.Budget != nil:
				fill(r.Budget, to)
			case r.Entry != nil:
				fill(r.Entry, to)
			default:
				fill(r.Mark, to)
			}
		}
		if a, b := tallyOf(t, pair[0]), tallyOf(t, pair[1]); a != b {
			t.Errorf("%+v: %v and %v", pair[0], a, b)
		}
	}
}

func TestADigestIsWrittenAsHexadecimalAndNothingElseIsRead(t *testing.T) {
	want := tallyOf(t, samples(time.Now())...)
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Tally
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%s is read as %v, %v", text, got, err)
	}
	good := want.Digest.String()
	for _, bad := range []string{"", good[1:], good + "0", good + "00", "x" + good[1:]} {
		if err := new(Digest).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Row S19. Every place of a backup is turned, and it is cut at every place.
func TestABackupThatWasCutOrChangedAnywhereIsRefused(t *testing.T) {
	text := written(t, samples(time.Now())...)
	if _, _, err := Verify(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	for i := range text {
		if _, _, err := Verify(bytes.NewReader(text[:i])); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut after %d of %d bytes: %v", i, len(text), err)
		}
		for _, bit := range []byte{0x01, 0x20, 0x80} {
			bad := bytes.Clone(text)
			bad[i] ^= bit
			if _, _, err := Verify(bytes.NewReader(bad)); err == nil {
				t.Fatalf("byte %d of %d turned from %q to %q: taken", i, len(text), text[i], bad[i])
			}
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for name, bad := range map[string][]byte{
		"a line is missing":     bytes.Join(slices.Delete(slices.Clone(lines), 2, 3), nil),
		"a line is there twice": bytes.Join(slices.Insert(slices.Clone(lines), 2, lines[2]), nil),
		"lines have changed":    bytes.Join([][]byte{lines[0], lines[2], lines[1], bytes.Join(lines[3:], nil)}, nil),
		"more after the end":    append(bytes.Clone(text), '\n'),
		"two backups":           append(bytes.Clone(text), text...),
		"nothing":               nil,
		"something else":        []byte("SQLite format 3\x00\n"),
		"JSON of another kind":  []byte(`{"hello":1}` + "\n"),
		"an unknown field":      []byte(strings.Replace(string(text), `{"client":{`, `{"client":{"new_field":1,`, 1)),
	} {
		if _, _, err := Verify(bytes.NewReader(bad)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABackupOfANewerVersionIsToldFromADamagedOne(t *testing.T) {
	newer := `{"ingam_backup":3,"something":"else"}` + "\n"
	if _, _, err := Verify(strings.NewReader(newer)); !errors.Is(err, ErrNewer) || errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// Form 1 had no entries; otherwise it is the same, to the byte.
func TestABackupOfForm1IsRead(t *testing.T) {
	old := samples(time.Now())[:7]
	text := written(t, old...)
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[0] = bytes.Replace(lines[0], []byte(`"ingam_backup":2`), []byte(`"ingam_backup":1`), 1)
	all := bytes.Join(lines[:len(lines)-2], nil)
	last := fmt.Sprintf(
		`{"end":{"counts":{"clients":2,"users":1,"grants":1,"key_rings":1,"budgets":1,"marks":1},"digest":%q,"sha256":"%x"}}`+"\n",
		tallyOf(t, old...).Digest, sha256.Sum256(all))
	header, tally, err := Verify(bytes.NewReader(append(all, last...)))
	if err != nil || header.Version != 1 || tally.Counts.Total() != len(old) {
		t.Error(header, tally, err)
	}
}

func TestWhatARecordHoldsIsNotInTheErrorAboutIt(t *testing.T) {
	text := string(written(t, samples(time.Now())...))
	for _, bad := range []string{
		strings.Replace(text, `"password_hash":"$argon2id$x"`, `"password_hash":{"canary-hash":1}`, 1),
		strings.Replace(text, `"password_hash":"$argon2id$x"`, `"canary-hash":"$argon2id$x"`, 1),
	} {
		if _, _, err := Verify(strings.NewReader(bad)); !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "canary") {
			t.Error(err)
		}
	}
}

func TestAStoreThatFailsLeavesNoLastLineAndAtFirstNothing(t *testing.T) {
	broken := errors.New("disk on fire")
	for n, wantSome := range map[int]bool{0: false, 3: false, 5000: true} {
		var b bytes.Buffer
		_, err := Write(&b, "test", func(yield func(storage.Record, error) bool) {
			for i := range n {
				if !yield(storage.Record{Client: &storage.Client{ID: fmt.Sprint("c", i)}}, nil) {
					return
				}
			}
			yield(storage.Record{}, broken)
		})
		if !errors.Is(err, broken) || (b.Len() > 0) != wantSome {
			t.Errorf("after %d records: %v, and %d bytes were written", n, err, b.Len())
		}
		if _, _, err := Verify(&b); !errors.Is(err, ErrDamaged) {
			t.Errorf("after %d records: what was written counts as a backup: %v", n, err)
		}
	}
	if _, err := Write(failingWriter{}, "test", yielding(samples(time.Now())...)); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

var errFull = errors.New("no space left")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

// exporter is a store that takes a while to read.
type exporter struct {
	records []storage.Record
	takes   time.Duration
	reads   *int
	err     error
}

func (e exporter) Export(context.Context) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		*e.reads++
		time.Sleep(e.takes)
		for _, r := range e.records {
			if end, ends := End(r); ends && !time.Now().Before(end) {
				continue
			}
			if !yield(r, nil) {
				return
			}
		}
		if e.err != nil {
			yield(storage.Record{}, e.err)
		}
	}
}

func mark(i byte, until time.Duration) storage.Record {
	return storage.Record{Mark: &storage.MarkState{KeyHash: bytes.Repeat([]byte{i}, 32), Until: time.Now().Add(until)}}
}

func TestTwoStoresAreComparedWithoutWhatEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		all := append(samples(time.Now()), mark(1, 5*time.Second), mark(2, 119*time.Second), mark(3, 121*time.Second))
		// The second store is read when the first mark has ended.
		c, err := Compare(t.Context(), exporter{records: all, takes: time.Second, reads: &reads},
			exporter{records: all, takes: 10 * time.Second, reads: &reads})
		if err != nil || !c.Equal() || reads != 2 || c.LeftOut != 2 || c.From.Counts.Total() != len(all)-2 {
			t.Errorf("%+v, %v after %d reads", c, err, reads)
		}
		c, err = Compare(t.Context(), exporter{records: all, reads: &reads}, exporter{records: all[1:], reads: &reads})
		if err != nil || c.Equal() {
			t.Errorf("one record less: %+v, %v", c, err)
		}
	})
}

func TestAComparisonThatTookTooLongIsMadeAgainWithMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		all := append(samples(time.Now()), mark(1, 170*time.Second), mark(2, 30*time.Minute))
		// Each round takes 160 s: too long for 2 minutes, and for 4 with their minute of slack is just right.
		slow := exporter{records: all, takes: 80 * time.Second, reads: &reads}
		c, err := Compare(t.Context(), slow, slow)
		if err != nil || !c.Equal() || reads != 4 || c.From.Counts.Marks != 2 {
			t.Errorf("%+v, %v after %d reads", c, err, reads)
		}
	})
}

func TestAStoreThatCannotBeReadIsNotEqualToAnything(t *testing.T) {
	reads, broken := 0, errors.New("disk on fire")
	good, bad := exporter{reads: &reads}, exporter{reads: &reads, err: broken}
	for _, pair := range [][2]Exporter{{good, bad}, {bad, good}} {
		if _, err := Compare(t.Context(), pair[0], pair[1]); !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	if c, err := Compare(t.Context(), good, good); err != nil || !c.Equal() {
		t.Error(c, err)
	}
}

// Redis has no snapshots: a rename during the backup can show a username at two users, and no store would take both back.
func TestABackupThatCouldNotBeRestoredIsNotMade(t *testing.T) {
	two := func(other string) iter.Seq2[storage.Record, error] {
		return func(yield func(storage.Record, error) bool) {
			if yield(storage.Record{User: &storage.User{ID: "1", Username: "alice", Version: 1}}, nil) {
				yield(storage.Record{User: &storage.User{ID: "2", Username: other, Version: 1}}, nil)
			}
		}
	}
	if _, err := Write(io.Discard, "test", two("alice")); err == nil || !strings.Contains(err.Error(), "alice") {
		t.Errorf("one username twice: %v", err)
	}
	if _, err := Write(io.Discard, "test", two("bob")); err != nil {
		t.Errorf("two usernames: %v", err)
	}
}
