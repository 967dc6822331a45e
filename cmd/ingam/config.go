package main

import (
	"crypto/tls"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ingam/ingam/authserver/credential"
)

const (
	envPrefix     = "INGAM_"
	envConfigFile = "INGAM_CONFIG"
	// defaultConfigFile is read from the working directory when no other file is named.
	defaultConfigFile = "ingam.yaml"
)

// foreignEnv are beginnings of names in the environment that belong to our tests and to the resource server.
var foreignEnv = []string{"INGAM_FULL", "INGAM_REQUIRE", "INGAM_RESOURCE_", "INGAM_TEST_"}

// loadConfig reads all layers, the weakest first: default, file, environment, flag. It returns what it could read
// together with everything that is wrong with it; whether the result is enough to serve is for [config.check] to say.
func (a *app) loadConfig(cmd *cobra.Command) (*config, problems) {
	c := newConfig()
	l := layers{config: c, rows: c.settings()}
	if path, named := a.configPath(cmd.Flags()); path != "" {
		l.file(path, named)
	}
	l.environment(a.environ())
	l.flags(cmd.Flags())
	l.secrets()
	l.folders()
	return c, l.found
}

// newConfig returns the defaults.
func newConfig() *config {
	c := &config{origins: map[string]position{}}
	for _, s := range c.settings() {
		if s.def == "" {
			continue
		}
		if wrong := s.set(s.def); wrong != "" {
			panic("settings: the default of " + s.key + " " + wrong)
		}
	}
	return c
}

// configPath says which file to read. named tells whether somebody asked for it by name, and where.
func (a *app) configPath(flags *pflag.FlagSet) (path, named string) {
	if f := flags.Lookup("config"); f != nil && f.Changed {
		return f.Value.String(), "--config"
	}
	if path := a.getenv(envConfigFile); path != "" {
		return path, envConfigFile
	}
	if _, err := os.Stat(defaultConfigFile); err == nil {
		return defaultConfigFile, ""
	}
	return "", ""
}

// check tells what keeps a config from being served, besides what was found when it was read.
func (c *config) check(before problems) (found problems) {
	bad := func(key, value, message string) {
		found = append(found, problem{at: c.origins[key], key: key, value: value, message: message})
	}
	if c.Issuer == "" && len(before.about("issuer")) == 0 {
		bad("issuer", "", "is missing; give the URL under which clients reach this server, like https://login.example.com")
	}
	if u, err := url.Parse(c.Issuer); err == nil && u.Scheme == "http" && !isLoopbackHost(u.Hostname()) && !c.InsecureHTTPIssuer {
		bad("issuer", c.Issuer, "is http:// and not on this machine; use https://, "+
			"or set insecure_http_issuer: true where nobody else can listen")
	}
	if c.Keys.MasterKey == "" && len(before.about("keys.master_key"))+len(before.about("keys.master_key_file")) == 0 {
		bad("keys.master_key_file", "",
			"is missing; make one with 'ingam keys new-master-key --out master.key' and name that file")
	}
	// Dev mode keeps off other data, see prepareDevDir; this is the other direction.
	if isDevDir(c.DataDir) {
		bad("data_dir", c.DataDir, "belongs to 'ingam dev': it has users whose passwords everybody knows; choose another folder")
	}
	if _, err := credential.NewHasher(c.hasher()); err != nil {
		bad("passwords", "", err.Error())
	}
	if c.StorageDriver == driverRedis {
		_, wrong := c.redisConfig(before, nil)
		found = append(found, wrong...)
	}
	c.checkLifetimes(before, bad)
	c.checkPages(bad)
	switch {
	case (c.TLS.CertFile == "") != (c.TLS.KeyFile == ""):
		bad("tls.cert_file", "", "and tls.key_file belong together; set both or neither")
	case c.TLS.CertFile != "":
		if _, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile); err != nil {
			bad("tls.cert_file", c.TLS.CertFile, "and tls.key_file cannot be used: "+err.Error())
		}
	}
	return found
}

// origin says where a setting came from.
func (c *config) origin(key string) string {
	at, ok := c.origins[key]
	switch {
	case !ok:
		return "default"
	case at.line == 0 && strings.HasPrefix(at.file, envPrefix):
		return "environment " + at.file
	case at.line == 0 && strings.HasPrefix(at.file, "--"):
		return "flag " + at.file
	}
	return at.String()
}
