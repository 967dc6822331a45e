package backup

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/ingam/ingam/storage"
)

// Comparison is what [Compare] found.
type Comparison struct {
	// From and To are the two stores, without what ends before Until.
	From, To Tally
	// Until is when records must end at the earliest to be compared.
	Until time.Time
	// LeftOut is how many records of the first store end before that.
	LeftOut int
}

// Equal tells whether both keep the same.
func (c Comparison) Equal() bool { return c.From == c.To }

// slack is how long before Until both stores must have been read. It is more than the clocks of two stores differ.
const slack = time.Minute

// Exporter is the part of storage.Transfer that is needed to look at a store.
type Exporter interface {
	Export(ctx context.Context) iter.Seq2[storage.Record, error]
}

// Compare reads both stores. Nothing should write to them meanwhile; time goes on all the same, and records end. So what
// ends before a certain moment, at first two minutes from now, is left out on both sides, and where reading has taken
// until a minute before that moment it is done again with twice the time.
func Compare(ctx context.Context, from, to Exporter) (Comparison, error) {
	for patience := 2 * slack; ; patience *= 2 {
		c := Comparison{Until: time.Now().Add(patience)}
		var err error
		if c.From, c.LeftOut, err = tallyUntil(ctx, from, c.Until); err != nil {
			return c, fmt.Errorf("read the source: %w", err)
		}
		if c.To, _, err = tallyUntil(ctx, to, c.Until); err != nil {
			return c, fmt.Errorf("read the target: %w", err)
		}
		if time.Now().Before(c.Until.Add(-slack)) {
			return c, nil
		}
	}
}

// tallyUntil counts the records of a store that do not end before a moment.
func tallyUntil(ctx context.Context, s Exporter, until time.Time) (t Tally, leftOut int, err error) {
	for r, err := range s.Export(ctx) {
		if err != nil {
			return t, leftOut, err
		}
		if end, ends := End(r); ends && end.Before(until) {
			leftOut++
			continue
		}
		if err := t.Add(r); err != nil {
			return t, leftOut, err
		}
	}
	return t, leftOut, nil
}
