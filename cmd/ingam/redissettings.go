package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ingam/ingam/storage/redis"
)

// Values of storage.driver.
const (
	driverBolt  = "bolt"
	driverRedis = "redis"
)

// redisSettings are the rows below storage.redis.
type redisSettings struct {
	Mode                 string
	Addresses            []string
	MasterName           string
	Username             string
	Password             string
	PasswordFile         string
	SentinelUsername     string
	SentinelPassword     string
	SentinelPasswordFile string
	DB                   int
	TLS                  bool
	TLSCAFile            string
	TLSCertFile          string
	TLSKeyFile           string
	TLSServerName        string
	KeyPrefix            string
	Timeout              time.Duration
	PoolSize             int
	Durability           string
	WaitReplicas         int
	WaitFsync            bool
	AllowVolatile        bool
}

// redisPrefix begins the keys of those rows.
const redisPrefix = "storage.redis."

// settings say which Redis keeps the data, and how.
func (r *redisSettings) settings() []setting {
	return slices.Concat(r.reachSettings(), r.useSettings(), r.tlsSettings())
}

// reachSettings say where it is and who we are there.
func (r *redisSettings) reachSettings() []setting {
	return []setting{
		{
			key: redisPrefix + "mode", target: &r.Mode, def: string(redis.Single),
			oneOf: []string{string(redis.Single), string(redis.Sentinel), string(redis.Cluster)},
			help:  "how the Redis servers are arranged: one server, one primary chosen by Redis Sentinel, or Redis Cluster",
		},
		{
			key: redisPrefix + "addresses", target: &r.Addresses, check: checkRedisAddress, veiled: true,
			help: "host:port of the server, of the sentinels, or of some nodes of the cluster; unix:/path is a socket of a single server",
		},
		{
			key: redisPrefix + "master_name", target: &r.MasterName,
			help: "name by which the sentinels know the primary",
		},
		{
			key: redisPrefix + "username", target: &r.Username,
			help: "ACL user; empty is the default user",
		},
		{
			key: redisPrefix + "password", target: &r.Password, secret: true,
			help: "password of that user; use storage.redis.password_file",
		},
		{key: redisPrefix + "password_file", target: &r.PasswordFile, path: true, help: "file that holds storage.redis.password"},
		{
			key: redisPrefix + "sentinel_username", target: &r.SentinelUsername,
			help: "ACL user at the sentinels",
		},
		{
			key: redisPrefix + "sentinel_password", target: &r.SentinelPassword, secret: true,
			help: "password at the sentinels; use storage.redis.sentinel_password_file",
		},
		{
			key: redisPrefix + "sentinel_password_file", target: &r.SentinelPasswordFile, path: true,
			help: "file that holds storage.redis.sentinel_password",
		},
	}
}

// useSettings say how it is used.
func (r *redisSettings) useSettings() []setting {
	return []setting{
		{
			key: redisPrefix + "db", target: &r.DB, def: "0", least: 0, most: 65535,
			help: "number of the database; a cluster has only 0",
		},
		{
			key: redisPrefix + "key_prefix", target: &r.KeyPrefix, def: redis.DefaultPrefix,
			help: "begins every key, so that several programs can share a server",
		},
		{
			key: redisPrefix + "timeout", target: &r.Timeout, def: formatDuration(redis.DefaultTimeout),
			least: 20 * time.Millisecond, most: redis.MaxTimeout,
			help: "bounds each step at Redis whole: waiting for a connection, dialing, sending, waiting for replicas",
		},
		{
			key: redisPrefix + "pool_size", target: &r.PoolSize, def: fmt.Sprint(redis.DefaultPoolSize), least: 1, most: 10_000,
			help: "connections to each node of Redis at most",
		},
		{
			key: redisPrefix + "durability", target: &r.Durability, def: string(redis.Local),
			oneOf: []string{string(redis.Local), string(redis.Replicated)},
			help:  "when a write counts: local, when the server that answers has it; replicated, when replicas have it too",
		},
		{
			key: redisPrefix + "wait_replicas", target: &r.WaitReplicas, def: "1", least: 1, most: 100,
			help: "how many replicas must have a write under durability replicated",
		},
		{
			key: redisPrefix + "wait_fsync", target: &r.WaitFsync, def: "false",
			help: "under durability replicated, wait until the primary and those replicas have it on their disks (Redis 7.2)",
		},
		{
			key: redisPrefix + "allow_volatile", target: &r.AllowVolatile, def: "false",
			help: "accept a server that keeps nothing over a restart; for tests",
		},
	}
}

// tlsSettings say how the connections are protected.
func (r *redisSettings) tlsSettings() []setting {
	return []setting{
		{key: redisPrefix + "tls", target: &r.TLS, def: "false", help: "speak TLS to Redis"},
		{
			key: redisPrefix + "tls_ca_file", target: &r.TLSCAFile, path: true,
			help: "certificates (PEM) that sign that of Redis; empty means those that this machine trusts",
		},
		{
			key: redisPrefix + "tls_cert_file", target: &r.TLSCertFile, path: true,
			help: "certificate (PEM) that this server shows to Redis, if it asks for one",
		},
		{
			key: redisPrefix + "tls_key_file", target: &r.TLSKeyFile, path: true,
			help: "private key of storage.redis.tls_cert_file (PEM)",
		},
		{
			key: redisPrefix + "tls_server_name", target: &r.TLSServerName,
			help: "name that the certificate of Redis must have; empty means the host of its address",
		},
	}
}

// checkRedisAddress knows the addresses that redis.Config takes. A URL may hold a password: the value is veiled.
func checkRedisAddress(text string) string {
	if path, isSocket := strings.CutPrefix(text, "unix:"); isSocket && path != "" && !strings.HasPrefix(path, "//") {
		return ""
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || port == "" || strings.ContainsAny(text, "@/") {
		return "has an entry that is not host:port or unix:/path; " +
			"user and password go into storage.redis.username and storage.redis.password_file"
	}
	return ""
}

// where names the Redis for messages. It has no secret: addresses are hosts and ports.
func (r *redisSettings) where() string {
	text := "the Redis at " + strings.Join(r.Addresses, ", ")
	if r.Mode == string(redis.Sentinel) {
		text = "the Redis " + r.MasterName + " of the sentinels at " + strings.Join(r.Addresses, ", ")
	}
	return text
}

// redisConfig is what package redis takes, with everything that is wrong with it. before is what was found when the
// settings were read; what is wrong there is not said twice.
func (c *config) redisConfig(before problems, log *slog.Logger) (redis.Config, problems) {
	r := &c.Redis
	cfg := redis.Config{
		Mode: redis.Mode(r.Mode), Addresses: r.Addresses, MasterName: r.MasterName,
		Username: r.Username, Password: r.Password,
		SentinelUsername: r.SentinelUsername, SentinelPassword: r.SentinelPassword,
		DB: r.DB, Prefix: r.KeyPrefix, Timeout: r.Timeout, PoolSize: r.PoolSize,
		Durability: redis.Durability(r.Durability), Replicas: r.WaitReplicas, Fsync: r.WaitFsync,
		AllowVolatile: r.AllowVolatile, Log: log,
	}
	var found problems
	bad := func(key, value, message string) {
		if key = redisPrefix + key; len(before.about(key)) == 0 {
			found = append(found, problem{at: c.origins[key], key: key, value: value, message: message})
		}
	}
	if err := cfg.Validate(); err != nil {
		all := []error{err}
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			all = joined.Unwrap()
		}
		for _, err := range all { // each begins with the name of its setting
			key, message, _ := strings.Cut(err.Error(), ": ")
			bad(key, "", message)
		}
	}
	cfg.TLS = r.tlsConfig(bad)
	return cfg, found
}

// tlsConfig loads the files of TLS. It is nil where TLS is off.
func (r *redisSettings) tlsConfig(bad func(key, value, message string)) *tls.Config {
	if !r.TLS {
		for _, s := range []struct{ key, value string }{
			{"tls_ca_file", r.TLSCAFile}, {"tls_cert_file", r.TLSCertFile}, {"tls_key_file", r.TLSKeyFile}, {"tls_server_name", r.TLSServerName},
		} {
			if s.value != "" {
				bad(s.key, s.value, "is set, and storage.redis.tls is false; set that to true")
			}
		}
		return nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.TLSServerName}
	if r.TLSCAFile != "" {
		t.RootCAs = x509.NewCertPool()
		switch text, err := os.ReadFile(r.TLSCAFile); {
		case err != nil:
			bad("tls_ca_file", r.TLSCAFile, "cannot be read: "+plain(err))
		case !t.RootCAs.AppendCertsFromPEM(text):
			bad("tls_ca_file", r.TLSCAFile, "holds no certificate in PEM")
		}
	}
	switch {
	case (r.TLSCertFile == "") != (r.TLSKeyFile == ""):
		bad("tls_cert_file", "", "and storage.redis.tls_key_file belong together; set both or neither")
	case r.TLSCertFile != "":
		certificate, err := tls.LoadX509KeyPair(r.TLSCertFile, r.TLSKeyFile)
		if err != nil {
			bad("tls_cert_file", r.TLSCertFile, "and storage.redis.tls_key_file cannot be used: "+err.Error())
		}
		t.Certificates = []tls.Certificate{certificate}
	}
	return t
}

// unusedRedis names the settings below storage.redis that were given though storage.driver is another. It is not an error:
// 'ingam store copy' reads them while the server still runs on the embedded store.
func (c *config) unusedRedis() (keys []string) {
	if c.StorageDriver == driverRedis {
		return nil
	}
	for _, s := range c.Redis.settings() {
		if _, given := c.origins[s.key]; given {
			keys = append(keys, s.key)
		}
	}
	return keys
}
