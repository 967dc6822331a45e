package redistest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Environment variables and the names that INGAM_REQUIRE may list.
const (
	serverEnv  = "INGAM_TEST_REDIS_SERVER"
	server8Env = "INGAM_TEST_REDIS8_SERVER"
	requireEnv = "INGAM_REQUIRE"

	needRedis  = "redis"
	needRedis8 = "redis8"
)

// Binary returns the server program that tests run by default. Without one the test is skipped, or fails when
// INGAM_REQUIRE lists redis.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := findServer(serverEnv)
	if err != nil {
		missing(t, needRedis, err)
	}
	return path
}

// Binary8 returns a server program of version 7.2 or later, which has WAITAOF: the one in INGAM_TEST_REDIS8_SERVER,
// else the default one if it is new enough. Without one the test is skipped, or fails when INGAM_REQUIRE lists redis8.
func Binary8(t testing.TB) string {
	t.Helper()
	env := server8Env
	if os.Getenv(server8Env) == "" {
		env = serverEnv
	}
	path, err := findServer(env)
	if err == nil {
		err = atLeast(path, 7, 2)
	}
	if err != nil {
		missing(t, needRedis8, fmt.Errorf("%w (%s names a newer one)", err, server8Env))
	}
	return path
}

// missing ends the test: it needs a program that is not there.
func missing(t testing.TB, name string, err error) {
	t.Helper()
	if required(name) {
		t.Fatalf("%s lists %s, and there is none: %v", requireEnv, name, err)
	}
	t.Skipf("SKIPPED, NOT PROVED: this test needs %s: %v", name, err)
}

// required tells whether INGAM_REQUIRE lists name.
func required(name string) bool {
	return slices.ContainsFunc(strings.Split(os.Getenv(requireEnv), ","), func(item string) bool {
		return strings.TrimSpace(item) == name
	})
}

// findServer returns the program that the variable env names, else redis-server of the PATH.
func findServer(env string) (string, error) {
	if path := os.Getenv(env); path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%s: %w", env, err)
		}
		return found, nil
	}
	found, err := exec.LookPath("redis-server")
	if err != nil {
		return "", fmt.Errorf("no redis-server in PATH, and %s is not set: %w", env, err)
	}
	return found, nil
}

var versionText = regexp.MustCompile(`v=(\d+)\.(\d+)\.`)

// versions remembers what each program said, a [2]int by its path.
var versions sync.Map

// atLeast tells by an error that the program is older than major.minor, or does not say.
func atLeast(path string, major, minor int) error {
	answer, known := versions.Load(path)
	if !known {
		version, err := askVersion(path)
		if err != nil {
			return err
		}
		answer, _ = versions.LoadOrStore(path, version)
	}
	version := answer.([2]int)
	if version[0] < major || version[0] == major && version[1] < minor {
		return fmt.Errorf("%s is version %d.%d, older than %d.%d", path, version[0], version[1], major, minor)
	}
	return nil
}

// askVersion runs the program with --version.
func askVersion(path string) ([2]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return [2]int{}, fmt.Errorf("%s --version: %w", path, err)
	}
	found := versionText.FindSubmatch(out)
	if found == nil {
		return [2]int{}, fmt.Errorf("%s --version says no version: %q", path, out)
	}
	major, _ := strconv.Atoi(string(found[1]))
	minor, _ := strconv.Atoi(string(found[2]))
	return [2]int{major, minor}, nil
}
