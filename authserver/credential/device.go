package credential

import (
	"context"
	"strconv"
	"time"
)

// devicePeriod divides time. A sign-in marks the device for its period, and the mark counts in the next one too. A mark
// cannot be prolonged, so one alone would make the device of somebody who signs in every day unknown once in a while,
// and if others empty the account's budget just then, would lock the person out at home (row L5).
const devicePeriod = 30 * 24 * time.Hour

// deviceMemory is what the store remembers of a device at one moment.
type deviceMemory struct {
	known  bool      // the user has signed in from there in this period or in the one before
	marked bool      // in this one
	mark   string    // the key of this period's mark
	until  time.Time // how long that counts
}

// recall asks for the mark of this period and, where there is none, for that of the one before.
func (a *Authenticator) recall(ctx context.Context, device string, now time.Time) (deviceMemory, error) {
	period := now.Unix() / int64(devicePeriod/time.Second)
	mark := func(period int64) string { return device + "/" + strconv.FormatInt(period, 10) }
	m := deviceMemory{mark: mark(period), until: time.Unix((period+2)*int64(devicePeriod/time.Second), 0)}
	var err error
	if m.marked, err = a.Limits.Remembered(ctx, m.mark); err != nil {
		return deviceMemory{}, err
	}
	m.known = m.marked
	if !m.marked {
		m.known, err = a.Limits.Remembered(ctx, mark(period-1))
	}
	return m, err
}
