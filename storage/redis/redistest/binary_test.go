package redistest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// recorder is a testing.TB that notes how a helper ends it.
type recorder struct {
	testing.TB
	how string
}

type ended struct{}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.how = "skipped: " + fmt.Sprintf(format, args...)
	panic(ended{})
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.how = "failed: " + fmt.Sprintf(format, args...)
	panic(ended{})
}

// outcome calls find and returns the path, or how the test was ended.
func outcome(find func(testing.TB) string) (result string) {
	r := new(recorder)
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(ended); !ok {
				panic(p)
			}
			result = r.how
		}
	}()
	return find(r)
}

// script writes a program that says it is of that version.
func script(t *testing.T, dir, name, version string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	text := "#!/bin/sh\necho 'Redis server v=" + version + " sha=00000000:0 malloc=libc bits=64 build=0'\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheServerProgramIsTheNamedOneElseThatOfThePath(t *testing.T) {
	dir := t.TempDir()
	named, inPath := script(t, dir, "named", "7.0.15"), script(t, dir, "redis-server", "7.0.0")
	for _, tt := range []struct{ name, env, path, require, want string }{
		{"named", named, dir, "", named},
		{"of the path", "", dir, "", inPath},
		{"missing", "", "/nowhere", "", "skipped: SKIPPED, NOT PROVED"},
		{"missing, and others are required", "", "/nowhere", "docker,redis8", "skipped: SKIPPED, NOT PROVED"},
		{"missing, and required", "", "/nowhere", "docker, redis", "failed: INGAM_REQUIRE lists redis"},
		{"the named one is missing, though the path has one", dir + "/other", dir, "redis", "failed: INGAM_REQUIRE lists redis"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("INGAM_TEST_REDIS_SERVER", tt.env)
			t.Setenv("PATH", tt.path)
			t.Setenv("INGAM_REQUIRE", tt.require)
			if got := outcome(redistest.Binary); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheNewerServerProgramIsOfVersion72OrLater(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ name, env8, env, require, want string }{
		{"named, 8.0", script(t, dir, "v8", "8.0.1"), "", "", dir + "/v8"},
		{"named, 7.2", script(t, dir, "v72", "7.2.0"), "", "", dir + "/v72"},
		{"named, 7.0", script(t, dir, "v70", "7.0.15"), "", "", "skipped: SKIPPED, NOT PROVED"},
		{"named, 7.0, required", dir + "/v70", dir + "/v8", "redis,redis8", "failed: INGAM_REQUIRE lists redis8"},
		{"named, 6.9, required", script(t, dir, "v69", "6.9.9"), "", "redis8", "failed: INGAM_REQUIRE lists redis8"},
		{"the default one, 10.0", "", script(t, dir, "v10", "10.0.0"), "redis8", dir + "/v10"},
		{"the default one, 7.0", "", dir + "/v70", "redis", "skipped: SKIPPED, NOT PROVED"},
		{"no Redis", "/bin/true", "", "redis8", "failed: INGAM_REQUIRE lists redis8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("INGAM_TEST_REDIS8_SERVER", tt.env8)
			t.Setenv("INGAM_TEST_REDIS_SERVER", tt.env)
			t.Setenv("INGAM_REQUIRE", tt.require)
			if got := outcome(redistest.Binary8); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestANewerServerAnswersToItsCommands(t *testing.T) {
	s := redistest.Start(t, redistest.Program(redistest.Binary8(t)))
	set(t, s, "k")
	if got, err := s.Client().Do(t.Context(), "WAITAOF", 1, 0, 5000).Slice(); err != nil || len(got) != 2 || got[0] != int64(1) {
		t.Errorf("%v, %v", got, err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if !holds(t, s, "k") {
		t.Error("the key is gone")
	}
}
