// Package redistest runs real Redis servers for tests: one server, a group under Sentinel, a cluster, and a TCP proxy
// that does to their connections what networks do.
//
//	server := redistest.Start(t, redistest.MaxMemory(8<<20))   // one server, AOF with fsync always, gone after the test
//	server, prefix := redistest.Shared(t)                      // one server for the whole test binary, a prefix of one's own
//	group := redistest.StartSentinel(t, 2, 3)                  // a primary, 2 replicas, 3 sentinels
//	cluster := redistest.StartCluster(t, 3, 3)                 // 3 primaries with 3 replicas
//	proxy := redistest.NewProxy(t, server.Addr())              // faults
//
// A test package that uses [Shared], [SharedSentinel] or [SharedCluster] runs under [Main]:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
//
// # Programs
//
// The server program is the one in INGAM_TEST_REDIS_SERVER (a path, or a wrapper that ends in exec), else redis-server
// of the PATH. Where it is missing the test is skipped, or fails when INGAM_REQUIRE lists redis. What needs Redis 7.2
// or later takes [Program] of [Binary8], which reads INGAM_TEST_REDIS8_SERVER; its name in INGAM_REQUIRE is redis8.
// Sentinels are the same program with --sentinel. A wrapper must show the server the same files and the same
// loopback network as the test.
//
// # Life of a server
//
// Servers listen on 127.0.0.1, on ports below the range of outgoing connections, so that a server that was killed finds
// its port free at [Server.Restart]. They end with their test and, on Linux, with the test process, however that ends.
// Faults ([Server.Kill], [Server.Pause] …) return errors instead of taking a testing.TB, so that any goroutine may cause
// them. Servers are configured through a file in a folder of their own, so CONFIG REWRITE (Sentinel does it) survives a
// restart as it does in production.
//
// Nothing here works on Windows, as Redis does not.
package redistest
