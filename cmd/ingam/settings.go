package main

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const day = 24 * time.Hour

// config is everything an operator decides. It is filled from the table in [config.settings] and from nowhere else.
type config struct {
	Issuer             string
	InsecureHTTPIssuer bool
	Listen             string
	DataDir            string
	StorageDriver      string
	Redis              redisSettings
	FirstPartyClient   string
	DefaultAudience    []string
	CORSOrigins        []string
	TrustedProxies     []netip.Prefix
	ClientsDir         string
	UsersDir           string

	Admin     struct{ Listen, Token, TokenFile string }
	Keys      struct{ MasterKey, MasterKeyFile string }
	Tokens    struct{ Access, ID, RefreshIdle, RefreshAbsolute, RefreshGrace time.Duration }
	Session   struct{ Idle, Absolute, Remember time.Duration }
	Branding  struct{ Name, LogoFile, Accent string }
	Outbound  outboundConfig
	Passwords struct {
		MemoryKiB, Time, Parallelism int
		MaxHashes, MaxQueue          int
		MaxWait                      time.Duration
	}
	Guesses  struct{ Address, Account, Device, Sustained guessBudget }
	TLS      struct{ CertFile, KeyFile string }
	Log      struct{ Level, Format string }
	Shutdown struct{ Delay, Timeout time.Duration }
	Limits   struct{ MaxConnections int }

	file    string              // the configuration file read, "" for none
	origins map[string]position // where each setting that is not a default came from
}

// outboundConfig bounds the calls that the server makes to clients.
type outboundConfig struct {
	CAFile          string
	AllowedNetworks []netip.Prefix
}

// guessBudget is how many attempts to sign in are free: Burst at once, then one more each Every.
type guessBudget struct {
	Burst int
	Every time.Duration
}

// A setting is one row of the table: it drives the key in the file, the name in the environment, the flag, the help,
// the example file and the checks.
type setting struct {
	key    string // path in the file; INGAM_ and the path in capitals is the name in the environment
	target any    // *string, *int, *bool, *time.Duration, *[]string or *[]netip.Prefix
	def    string // in the spelling of the environment; "" leaves the zero value
	help   string
	veiled bool                // a wrong value is not shown: it may hold a secret
	secret bool                // never shown, no flag (others could see it in a list of processes); has a …_file twin
	path   bool                // a relative path in a file starts at the folder of that file
	oneOf  []string            // the values allowed, where they can be listed
	least  any                 // int or time.Duration: bounds, both inclusive
	most   any                 //
	check  func(string) string // tells what would be right, "" when the value is; for lists it sees each element
}

// env is the name of the setting in the environment.
func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// flag is the name of the setting as a flag.
func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.key) }

// settings is the table. The order is that of the example file.
func (c *config) settings() []setting {
	return slices.Concat(
		c.serverSettings(),
		c.adminSettings(),
		c.storageSettings(),
		c.keySettings(),
		c.tokenSettings(),
		c.sessionSettings(),
		c.brandingSettings(),
		c.outboundSettings(),
		c.passwordSettings(),
		c.Guesses.Address.settings("address", "30", "10s", "from one network address, at any account"),
		c.Guesses.Device.settings("device", "10", "2m", "at one account, from one address; never more than half of guesses.account"),
		c.Guesses.Account.settings("account", "20", "1m", "at one account, from all addresses that have not signed in to it before"),
		c.Guesses.Sustained.settings("sustained", "100", "15m", "at one account, by somebody who never stops"),
		c.processSettings(),
	)
}

// serverSettings say what the server is and whom it serves.
func (c *config) serverSettings() []setting {
	return []setting{
		{
			key: "issuer", target: &c.Issuer, check: checkIssuer,
			help: "URL under which clients reach this server, without a slash at the end; tokens carry it as iss",
		},
		{
			key: "insecure_http_issuer", target: &c.InsecureHTTPIssuer, def: "false",
			help: "allow an issuer with http:// that is not on this machine: anyone on the way can then read passwords and tokens",
		},
		{key: "listen", target: &c.Listen, def: ":8080", check: checkListen, help: "address of the public listener"},
		{
			key: "data_dir", target: &c.DataDir, def: "ingam-data", path: true,
			help: "folder of the embedded store and of the admin socket; each server has its own",
		},
		{
			key: "first_party_client", target: &c.FirstPartyClient,
			help: "client_id that POST /login signs in for; empty turns POST /login off",
		},
		{
			key: "default_audience", target: &c.DefaultAudience,
			help: "aud of tokens for clients that have no audience of their own; empty means the issuer",
		},
		{
			key: "cors_origins", target: &c.CORSOrigins, check: checkOrigin,
			help: "origins of browser applications that may call the token endpoint, revocation and POST /login",
		},
		{
			key: "trusted_proxies", target: &c.TrustedProxies,
			help: "addresses or networks of proxies whose X-Forwarded-For is believed",
		},
		{
			key: "clients_dir", target: &c.ClientsDir, path: true,
			help: "folder of YAML files that define clients; default clients.d beside the configuration file if there is one",
		},
		{
			key: "users_dir", target: &c.UsersDir, path: true,
			help: "folder of YAML files that define users; default users.d beside the configuration file if there is one",
		},
	}
}

// adminSettings say who may administer the server.
func (c *config) adminSettings() []setting {
	return []setting{
		{
			key: "admin.listen", target: &c.Admin.Listen, def: "127.0.0.1:9080", check: checkListen,
			help: "address of the internal listener: /healthz, /readyz and, with a token, the admin API",
		},
		{
			key: "admin.token", target: &c.Admin.Token, secret: true, check: checkAdminToken,
			help: "bearer token that opens the admin API on the internal listener; without one it is on the socket in data_dir only",
		},
		{key: "admin.token_file", target: &c.Admin.TokenFile, path: true, help: "file that holds admin.token"},
	}
}

// storageSettings say where data is kept.
func (c *config) storageSettings() []setting {
	return append([]setting{{
		key: "storage.driver", target: &c.StorageDriver, def: driverBolt, oneOf: []string{driverBolt, driverRedis},
		help: "where data is kept; bolt is the embedded store of one server, a file in data_dir; redis is shared by any number of servers",
	}}, c.Redis.settings()...)
}

// keySettings are about the keys that tokens are signed with.
func (c *config) keySettings() []setting {
	return []setting{
		{
			key: "keys.master_key", target: &c.Keys.MasterKey, secret: true, check: checkMasterKey,
			help: "seals the signing keys at rest; 'ingam keys new-master-key' makes one; use keys.master_key_file",
		},
		{key: "keys.master_key_file", target: &c.Keys.MasterKeyFile, path: true, help: "file that holds keys.master_key"},
	}
}

// tokenSettings are lifetimes.
func (c *config) tokenSettings() []setting {
	return []setting{
		{
			key: "tokens.access_lifetime", target: &c.Tokens.Access, def: "15m", least: time.Second, most: day,
			help: "lifetime of access tokens",
		},
		{
			key: "tokens.id_lifetime", target: &c.Tokens.ID, def: "15m", least: time.Second, most: day,
			help: "lifetime of ID tokens",
		},
		{
			key: "tokens.refresh_idle", target: &c.Tokens.RefreshIdle, def: "30d", least: time.Second, most: 3650 * day,
			help: "a sign-in that is not refreshed for so long ends",
		},
		{
			key: "tokens.refresh_absolute", target: &c.Tokens.RefreshAbsolute, def: "180d", least: time.Second, most: 3650 * day,
			help: "a sign-in ends after so long, whatever happens",
		},
		{
			key: "tokens.refresh_grace", target: &c.Tokens.RefreshGrace, def: "10s", least: time.Duration(0), most: 5 * time.Minute,
			help: "for so long a used refresh token gets the same successor again; 0s is strict: a retry after a lost answer ends the sign-in",
		},
	}
}

// passwordSettings say what hashing may cost.
func (c *config) passwordSettings() []setting {
	return []setting{
		{
			key: "passwords.memory_kib", target: &c.Passwords.MemoryKiB, def: "19456", least: 7168, most: 256 << 10,
			help: "argon2id: memory of one hash in KiB",
		},
		{
			key: "passwords.time", target: &c.Passwords.Time, def: "2", least: 1, most: 16,
			help: "argon2id: passes over the memory",
		},
		{
			key: "passwords.parallelism", target: &c.Passwords.Parallelism, def: "1", least: 1, most: 16,
			help: "argon2id: lanes",
		},
		{
			key: "passwords.max_hashes", target: &c.Passwords.MaxHashes, def: "0", least: 0, most: 1024,
			help: "hashes computed at once; 0 means one for each processor",
		},
		{
			key: "passwords.max_queue", target: &c.Passwords.MaxQueue, def: "0", least: 0, most: 100_000,
			help: "sign-ins that may wait for a hash, the rest is answered 503 at once; 0 means 16 for each of max_hashes",
		},
		{
			key: "passwords.max_wait", target: &c.Passwords.MaxWait, def: "2s", least: time.Millisecond, most: 10 * time.Second,
			help: "how long a sign-in waits for a hash",
		},
	}
}

// processSettings belong to the process rather than to the protocol.
func (c *config) processSettings() []setting {
	return []setting{
		{
			key: "tls.cert_file", target: &c.TLS.CertFile, path: true,
			help: "certificate chain of the public listener (PEM); empty leaves TLS to a proxy",
		},
		{key: "tls.key_file", target: &c.TLS.KeyFile, path: true, help: "private key of tls.cert_file (PEM)"},

		{
			key: "log.level", target: &c.Log.Level, def: "info", oneOf: []string{"debug", "info", "warn", "error"},
			help: "least level of log lines",
		},
		{
			key: "log.format", target: &c.Log.Format, def: "auto", oneOf: []string{"auto", "json", "text"},
			help: "auto is text on a terminal and JSON elsewhere",
		},

		{
			key: "shutdown.delay", target: &c.Shutdown.Delay, def: "0s", least: time.Duration(0), most: 5 * time.Minute,
			help: "how long to go on serving after the signal while readiness says no, so that load balancers notice",
		},
		{
			key: "shutdown.timeout", target: &c.Shutdown.Timeout, def: "20s", least: time.Second, most: 10 * time.Minute,
			help: "how long requests may take to finish after that",
		},

		{
			key: "limits.max_connections", target: &c.Limits.MaxConnections, def: "4096", least: 1, most: 1_000_000,
			help: "connections of the public listener held open at once; more wait in the operating system",
		},
	}
}

// settings are the rows of one budget of attempts to sign in.
func (g *guessBudget) settings(name, burst, every, who string) []setting {
	return []setting{
		{
			key: "guesses." + name + ".burst", target: &g.Burst, def: burst, least: 1, most: 100_000,
			help: "attempts to sign in " + who,
		},
		{
			key: "guesses." + name + ".every", target: &g.Every, def: every, least: 10 * time.Millisecond, most: day,
			help: "and one more each so long",
		},
	}
}

// logLevel is log.level as slog knows it.
func (c *config) logLevel() slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.Log.Level)) // the table allows only names that slog knows
	return l
}
