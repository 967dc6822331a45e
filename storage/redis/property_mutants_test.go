package redis

import (
	"testing"

	"github.com/ingam/ingam/storage/storagetest/property"
)

// Each of these scripts is wrong in one place, and must be found.
func TestAScriptThatIsWrongIsFound(t *testing.T) {
	for name, wrong := range map[string][2]string{
		"an old generation is as good":        {"elseif presented == generation then", "elseif presented <= generation then"},
		"a future one is as good":             {"elseif presented == generation then", "elseif presented >= generation then"},
		"no attempt is an attempt":            {"ARGV[2] ~= '' and ", ""},
		"the winner is forgotten":             {"ARGV[2] ~= '' and ARGV[2] == attempt", "false"},
		"a strict grant replays (R9)":         {"tonumber(ARGV[3]) > 0 and ", ""},
		"the window closes 1 µs early":        {"now - rotated <= tonumber(ARGV[3])", "now - rotated < tonumber(ARGV[3])"},
		"the window closes 1 µs late":         {"now - rotated <= tonumber(ARGV[3])", "now - rotated <= tonumber(ARGV[3]) + 1"},
		"the window closes if time goes back": {"now - rotated <=", "math.abs(now - rotated) <="},
		"older ones replay":                   {"elseif presented + 1 == generation and rotated and", "elseif presented + 2 >= generation and rotated and"},
		"a replay opens the window anew":      {"outcome = 'replayed'", "outcome = 'replayed' redis.call('HSET', KEYS[1], 'rotated', string.format('%.0f', now))"},
		"the revoked come back":               {"if revoked then", "if revoked == '' then"},
		"idleness has no absolute end (R13)":  {"math.min(now + ARGV[4], ends)", "now + ARGV[4]"},
		"the idle end is no end (R13)":        {"if now >= math.min(idle, ends) then", "if now >= ends then"},
		"the absolute end is no end (R13)":    {"if now >= math.min(idle, ends) then", "if now >= idle then"},
		"it lives in its last instant":        {"if now >= math.min(idle, ends) then", "if now > math.min(idle, ends) then"},
		"reuse is only refused":               {"redis.call('HSET', KEYS[1], 'revoked', revoked)", "outcome = outcome"},
		"who is late is served":               {"ARGV[8] ~= '0' and now > tonumber(ARGV[8])", "false"},
		"who is just in time is late":         {"now > tonumber(ARGV[8])", "now >= tonumber(ARGV[8])"},
		"everybody is fenced":                 {"g[7] ~= string.match", "g[7] == string.match"},
	} {
		t.Run(name, func(t *testing.T) {
			sc := mutated(t, timed(t, scriptGrantRotate), wrong[0], wrong[1])
			property.Refuted(t, 10_000, rotatesAsSpecified(newBench(t), sc))
		})
	}
	for name, wrong := range map[string][2]string{
		"one more than the burst":     {"local over = after - now - burst * every", "local over = after - now - (burst + 1) * every"},
		"a unit comes 1 µs late":      {"if over > 0 then\n  if full < stored", "if over >= 0 then\n  if full < stored"},
		"what is unspent is saved up": {"math.max(stored, now)", "stored"},
		"a clock set back shuts it":   {"math.min(math.max(stored, now), now + burst * every)", "math.max(stored, now)"},
		"nothing is spent":            {"string.format('%.0f', after), 'PXAT'", "string.format('%.0f', full), 'PXAT'"},
	} {
		t.Run(name, func(t *testing.T) {
			sc := mutated(t, timed(t, scriptBudgetSpend), wrong[0], wrong[1])
			property.Refuted(t, 10_000, spendsAsSpecified(newBench(t), sc, timed(t, scriptBudgetRefund)))
		})
	}
	for name, wrong := range map[string][2]string{
		"one unit whatever is asked": {"full - ARGV[1] * ARGV[2]", "full - ARGV[1]"},
		"it is always full":          {"if full <= now then\n", "if true then\n"},
		"nothing is given back":      {"full - ARGV[1] * ARGV[2]", "full"},
	} {
		t.Run(name, func(t *testing.T) {
			sc := mutated(t, timed(t, scriptBudgetRefund), wrong[0], wrong[1])
			property.Refuted(t, 10_000, spendsAsSpecified(newBench(t), timed(t, scriptBudgetSpend), sc))
		})
	}
}
