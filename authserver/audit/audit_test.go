package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/ingam/ingam/authserver/audit"
)

func TestAnEventIsOneLineWithTheFieldsThatAreSet(t *testing.T) {
	var out bytes.Buffer
	r := &audit.Recorder{Log: slog.New(slog.NewJSONHandler(&out, nil))}
	r.Record(t.Context(), audit.Event{Name: audit.SignInFailed, ClientID: "cli", Address: "192.0.2.1", Reason: "line\nbreak"})

	if n := bytes.Count(out.Bytes(), []byte("\n")); n != 1 {
		t.Fatalf("%d lines: %s", n, &out)
	}
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	want := map[string]any{
		"level": "INFO", "msg": "audit", "event": "signin.failed", "client_id": "cli", "address": "192.0.2.1",
		"reason": "line\nbreak",
	}
	if len(line) != len(want) {
		t.Errorf("got %v, want %v", line, want)
	}
	for name, value := range want {
		if line[name] != value {
			t.Errorf("%s is %v, want %v", name, line[name], value)
		}
	}
}

func TestARecorderWithoutALogDiscards(_ *testing.T) {
	var none *audit.Recorder
	none.Record(context.Background(), audit.Event{Name: audit.TokenIssued})
	(&audit.Recorder{}).Record(context.Background(), audit.Event{Name: audit.TokenIssued})
}
