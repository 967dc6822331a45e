package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// canaries are secrets that must be found nowhere, by what they are.
type canaries map[string]string

// make adds a random one.
func (c canaries) make(what string) string {
	c[what] = "canary-" + rand.Text()
	return c[what]
}

// addJWT adds a token, and its parts by themselves. The header is no secret.
func (c canaries) addJWT(t *testing.T, what, token string) {
	t.Helper()
	_, claims, signature := split(t, token)
	c[what], c[what+"'s claims"], c[what+"'s signature"] = token, claims, signature
}

// spellings are how a secret might be written: as it is, and as the credentials of HTTP Basic.
func spellings(secret string) []string {
	basic := base64.StdEncoding.EncodeToString([]byte("web:" + secret))
	return []string{secret, basic, base64.StdEncoding.EncodeToString([]byte(secret)), b64([]byte(secret))}
}

// Row G1, and K1 for what lies on the disk: with log level debug, after a flow that shows every kind of secret in right
// and in wrong places, neither an output nor a file of the data folder has one of them.
func TestNoSecretIsInAnyOutputOrFile(t *testing.T) {
	c := canaries{}
	adminToken := filepath.Join(t.TempDir(), "admin.token")
	writeFile(t, adminToken, c.make("the admin token"))
	s := newServer(t, slices.Concat(quickHashes, manyGuesses, []string{
		"INGAM_LOG_LEVEL=debug", "INGAM_FIRST_PARTY_CLIENT=cli", "INGAM_ADMIN_TOKEN_FILE=" + adminToken,
	})...)
	master, err := os.ReadFile(filepath.Join(s.dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	c["the master key"] = strings.TrimSpace(string(master))
	api, at := spawnResource(t, s.issuer, apiAudience, "--log-level", "debug")

	outputs := map[string]string{}
	command := func(input string, args ...string) string {
		r := s.command(t, input, args...)
		if r.status != exitDone {
			t.Fatalf("%v: %+v", args, r)
		}
		outputs["stderr of ingam "+args[0]+" "+args[1]] += r.stderr
		return r.stdout
	}
	command(c.make("the first password"), "user", "add", "carol", "--password-stdin")
	password := c.make("the password")
	command(password, "user", "passwd", "carol", "--password-stdin")
	s.publicClient(t, "cli")
	c["the first client secret"] = secretIn(t, command("", "client", "add", "web", "--grant-type", "password,refresh_token",
		"--scope", "openid profile", "--audience", apiAudience, "--resource", apiAudience, "-o", "json"))
	c["the client secret"] = secretIn(t, command("", "client", "rotate-secret", "web", "-o", "json"))
	outputs["ingam list"] = command("", "user", "list", "-o", "json") + command("", "client", "show", "web", "-o", "json")

	c.showEverything(t, s, at, password)
	outputs["stdout of the server"], outputs["stderr of the resource server"] = s.stdout.String(), api.stderr.String()
	assertArgumentsHold(t, s.process, c)
	if status := s.terminate(t); status != exitDone {
		t.Errorf("exit %d", status)
	}
	outputs["stderr of the server"] = s.stderr.String()
	readFolder(t, s.data(), outputs)
	assertNowhere(t, c, outputs)
	// The search does find what is there.
	for where, what := range map[string]string{"stderr of the server": `"username":"carol"`, storeFile: "carol", "ingam list": "carol"} {
		if !strings.Contains(outputs[where], what) {
			t.Errorf("%s is not in %s: what was searched?", what, where)
		}
	}
}

// showEverything sends each secret where it belongs, and where it does not.
func (c canaries) showEverything(t *testing.T, s *server, api, password string) {
	t.Helper()
	client := newClient(t)
	token, secret := s.issuer+"/oauth2/token", c["the client secret"]
	send := func(a answer, err error) answer { t.Helper(); return must(t)(a, err) }
	const form, asForm = "application/x-www-form-urlencoded", "Content-Type"

	got := mustSignIn(t, client, s.issuer, "cli", "carol", password, "scope", "openid profile")
	c.addJWT(t, "the access token", got.Access)
	c.addJWT(t, "the ID token", got.ID)
	c["the first refresh token"] = got.Refresh
	next := send(refresh(client, s.issuer, "cli", got.Refresh)).tokens()
	c["the second refresh token"] = next.Refresh
	web := send(post(client, token, "grant_type", "password", "username", "carol", "password", password,
		"client_id", "web", "client_secret", secret)).tokens()
	c["the refresh token of web"] = web.Refresh
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("web:"+secret))
	for _, path := range []string{"introspect", "revoke"} {
		send(ask(client, "POST", s.issuer+"/oauth2/"+path, encode("token", web.Refresh), asForm, form, "Authorization", basic))
	}
	send(ask(client, "POST", s.issuer+"/login", `{"username":"carol","password":"`+password+`"}`, asForm, "application/json"))
	send(ask(client, "GET", "http://"+s.internal+"/admin/v1/users", "", "Authorization", "Bearer "+c["the admin token"]))
	send(secureData(client, api, got.Access))

	// And now the mistakes that people and programs make.
	send(signIn(client, s.issuer, "cli", "carol", c.make("a wrong password")))
	send(signIn(client, s.issuer, "cli", c.make("a password typed as the username"), password))
	send(signIn(client, s.issuer, c.make("a secret typed as the client_id"), "carol", password))
	send(ask(client, "POST", s.issuer+"/login", `{"username":"carol","password":"`+c.make("a wrong password in JSON")+`"`, asForm, "application/json"))
	send(post(client, token, "grant_type", "password", "client_id", "web", "client_secret", c.make("a wrong secret")))
	send(ask(client, "POST", token, encode("grant_type", "client_credentials"), asForm, form, "Authorization", "Basic "+c.make("a broken Basic header")))
	send(post(client, token+"?"+encode("password", password, "client_secret", secret, "refresh_token", next.Refresh), "grant_type", "password"))
	send(post(client, token, "grant_type", c.make("a secret typed as the grant type"), "client_id", "cli"))
	send(signIn(client, s.issuer, "cli", "carol", password, "scope", c.make("a secret typed as the scope")))
	send(refresh(client, s.issuer, "cli", next.Refresh+"x"))
	send(refresh(client, s.issuer, "cli", got.Refresh+"%zz"))
	send(ask(client, "GET", "http://"+s.internal+"/admin/v1/users", "", "Authorization", "Bearer "+c.make("a wrong admin token")))
	for _, bad := range []string{tamperName(t, got.Access), turnLast(t, got.Access), got.ID, got.Refresh, c.make("a token that is none")} {
		send(secureData(client, api, bad))
	}
	send(ask(client, "GET", api+"/secure-data?access_token="+got.Access, ""))
	send(ask(client, "GET", s.issuer+"/.well-known/jwks.json?access_token="+got.Access, "", "Cookie", "session="+c.make("a cookie")))
}

// tamperName is tamper for carol.
func tamperName(t *testing.T, token string) string {
	t.Helper()
	header, claims, signature := split(t, token)
	return part(t, header) + "." + strings.ToUpper(claims[:8]) + claims[8:] + "." + signature
}

// secretIn takes the secret from the answer of a command, the one place where it is shown.
func secretIn(t *testing.T, stdout string) string {
	t.Helper()
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(stdout), &made); err != nil || made.Secret == "" {
		t.Fatalf("%v: %s", err, stdout)
	}
	return made.Secret
}

// readFolder adds all files of a folder to what is searched.
func readFolder(t *testing.T, dir string, into map[string]string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		into[filepath.Base(path)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// assertNowhere wants no canary and no private key in any of the texts.
func assertNowhere(t *testing.T, c canaries, texts map[string]string) {
	t.Helper()
	for where, text := range texts {
		for what, secret := range c {
			if len(secret) < 20 {
				t.Fatalf("%s: %q is too short to search for", what, secret)
			}
			for _, spelling := range spellings(secret) {
				if strings.Contains(text, spelling) {
					t.Errorf("%s is in %s", what, where)
				}
			}
		}
		for what, sign := range map[string]string{
			"PEM": "-----BEGIN", "a private PEM": "PRIVATE", "a private JWK": `"d":`,
			"a private key (PKCS 8, RFC 5208 §5)": "\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
		} {
			if strings.Contains(text, sign) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
}

// assertArgumentsHold looks at a process as other users of the machine see it (row G8).
func assertArgumentsHold(t *testing.T, p *process, c canaries) {
	t.Helper()
	seen, err := exec.Command("ps", "-ww", "-o", "args=", "-p", strconv.Itoa(p.cmd.Process.Pid)).Output()
	if err != nil || !strings.Contains(string(seen), "serve") {
		t.Fatalf("ps: %v, %s", err, seen)
	}
	assertNowhere(t, c, map[string]string{"the list of processes": string(seen)})
}

// Row G8: a secret on the command line is refused, and neither repeated nor used.
func TestCommandsTakeNoSecretAsAnArgument(t *testing.T) {
	s := newServer(t, quickHashes...)
	const secret = "canary-of-the-command-line"
	for _, args := range [][]string{
		{"user", "add", "dave", "--password", secret},
		{"user", "add", "dave", "--password=" + secret},
		{"user", "add", "dave", "-p", secret},
		{"user", "add", "dave", secret},
		{"user", "passwd", "dave", "--password", secret},
		{"user", "passwd", "dave", secret},
		{"client", "add", "web", "--secret", secret},
		{"client", "add", "web", "--client-secret=" + secret},
		{"client", "add", "web", secret},
		{"client", "rotate-secret", "web", secret},
		{"serve", "--admin-token", secret},
		{"serve", "--keys-master-key", secret},
		{"serve", "--storage-redis-password=" + secret},
		{"store", "init", "--storage-redis-password", secret},
		{"store", "doctor", "--storage-redis-sentinel-password=" + secret},
		{"store", "copy", "--from", "redis://:" + secret + "@localhost:6379", "--to", "redis"},
		{"store", "doctor", "--storage-driver", "redis", "--storage-redis-addresses", "redis://:" + secret + "@localhost:6379"},
	} {
		r := s.command(t, "", args...)
		if r.status != exitUsage || strings.Contains(r.stdout+r.stderr, secret) {
			t.Errorf("%v: %+v", args[:2], r)
		}
	}
	if list := s.want(t, "", "user", "list", "-o", "json") + s.want(t, "", "client", "list", "-o", "json"); strings.Contains(list, "dave") || strings.Contains(list, "web") {
		t.Error(list)
	}
	if s.terminate(t) != exitDone {
		t.Error(s.stderr)
	}
}
