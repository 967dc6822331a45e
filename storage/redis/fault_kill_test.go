package redis

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// loadTime is how long a load runs before something happens to it.
const loadTime = 150 * time.Millisecond

// manyCycles bounds how long a test goes on until it has seen what it is about.
const manyCycles = 100

// T6, S6: with "appendfsync always" a Redis that is killed forgets nothing that it has acknowledged.
func TestARedisThatIsKilledUnderLoadForgetsNothingWhenItSyncsAlways(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{Addresses: []string{server.Addr()}})
	u := aUser(t, s, "u")
	var sum verdict
	var slowest time.Duration
	cycles := 0
	for ; cycles < figure(5, 100) || (sum.failed == 0 || sum.fenced == 0) && cycles < manyCycles; cycles++ {
		l := startTraffic(t.Context(), s, fmt.Sprint("always", cycles), u, false, 8)
		l.busy(t)
		need(t, "kill", server.Kill())
		need(t, "restart", server.Restart())
		slowest = max(slowest, recovery(t, s))
		time.Sleep(loadTime / 3) // the traffic goes on
		l.end()
		sum.add(l.judge(t))
	}
	promised(t, "single", "kill-9 appendfsync=always", sum.double+sum.lost()+sum.wrong,
		"cycles=%d %v recovery_max=%v", cycles, sum, slowest.Round(time.Millisecond))
	if sum.failed == 0 || sum.fenced == 0 {
		t.Error("the kills went unnoticed: this test proves nothing")
	}
}

// recovery waits until the store answers again, and returns how long that took. Nothing is reopened.
func recovery(t testing.TB, s *Store) time.Duration {
	t.Helper()
	return eventually(t, "the store recovers by itself", func() error { return s.Ping(t.Context()) })
}

// T6, S6: with "appendfsync everysec" a loss of power forgets the last second. What was not yet due to be on the disk is cut
// off the file here, since a mere kill leaves it with the operating system. Codes are not redeemed twice all the same, and
// refresh tokens that Redis has forgotten are noticed.
func TestALossOfPowerIsNoticedWhenRedisSyncsEverySecond(t *testing.T) {
	server := redistest.Start(t, redistest.AppendFsync("everysec"))
	s := open(t, Config{Addresses: []string{server.Addr()}})
	u := aUser(t, s, "u")
	var sum verdict
	cycle := 0
	for ; cycle < figure(3, 100) || (sum.lostMoves == 0 || sum.lostUsers == 0) && cycle < manyCycles; cycle++ {
		synced(t, server)
		kept := appendOnlySize(t, server)
		l := startTraffic(t.Context(), s, fmt.Sprint("everysec", cycle), u, true, 8)
		l.busy(t)
		if cycle%3 > 0 { // else everything since the load began is lost
			kept = appendOnlySize(t, server)
		}
		time.Sleep(loadTime / 2)
		need(t, "kill", server.Kill())
		if cycle%3 < 2 { // else the power stays on
			cutAppendOnly(t, server, kept)
		}
		need(t, "restart", server.Restart())
		recovery(t, s)
		time.Sleep(loadTime / 3)
		l.end()
		sum.add(l.judge(t))
	}
	promised(t, "single", "power-loss appendfsync=everysec", sum.double+sum.undetected+sum.wrong, "cycles=%d %v", cycle, sum)
	if sum.lostMoves == 0 || sum.lostUsers == 0 {
		t.Error("nothing was lost: this test proves nothing")
	}
}

// appendOnlyFile is the file that Redis appends to.
func appendOnlyFile(t testing.TB, server *redistest.Server) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(server.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		t.Fatalf("append-only files: %v, %v", files, err)
	}
	return files[len(files)-1]
}

// synced waits until all that was acknowledged is in the file. Redis may hold writes back as long as the disk is busy with
// those before.
func synced(t testing.TB, server *redistest.Server) {
	t.Helper()
	eventually(t, "Redis has written everything", func() error {
		info, err := server.Info(t.Context(), "persistence")
		if err == nil && (info["aof_buffer_length"] != "0" || info["aof_pending_bio_fsync"] != "0") {
			err = fmt.Errorf("%s bytes are waiting, %s syncs", info["aof_buffer_length"], info["aof_pending_bio_fsync"])
		}
		return err
	})
}

func appendOnlySize(t testing.TB, server *redistest.Server) int64 {
	t.Helper()
	info, err := os.Stat(appendOnlyFile(t, server))
	need(t, "append-only file", err)
	return info.Size()
}

func cutAppendOnly(t testing.TB, server *redistest.Server, size int64) {
	t.Helper()
	need(t, "cut the append-only file", os.Truncate(appendOnlyFile(t, server), size))
}
