package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// running is a server that runs in this process.
type running struct {
	stop           context.CancelFunc
	status         chan int
	stdout, stderr *syncBuffer
}

// start runs a command line that does not end by itself.
func start(t *testing.T, env []string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{stop: cancel, status: make(chan int, 1), stdout: &syncBuffer{}, stderr: &syncBuffer{}}
	a := newTestApp(env, r.stdout, r.stderr)
	go func() { r.status <- run(ctx, a, args) }()
	t.Cleanup(func() { r.end(t) })
	return r
}

// end stops the server and returns its exit status.
func (r *running) end(t *testing.T) int {
	t.Helper()
	r.stop()
	select {
	case status := <-r.status:
		r.status <- status // for those who ask again
		return status
	case <-time.After(patience):
		t.Fatal("the server does not stop:\n", r.stderr)
		return 0
	}
}

// await waits until found reports true, or fails when the server ends or takes too long.
func (r *running) await(t *testing.T, what string, found func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !found(); time.Sleep(2 * time.Millisecond) {
		select {
		case status := <-r.status:
			r.status <- status
			t.Fatalf("ended with %d before %s:\n%s", status, what, r.stderr)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s:\n%s", what, r.stderr)
		}
	}
}

// ready waits for the log line of `serve` and returns its addresses.
func (r *running) ready(t *testing.T) map[string]string {
	t.Helper()
	line := map[string]string{}
	r.await(t, "ready", func() bool {
		for text := range strings.SplitSeq(r.stderr.String(), "\n") {
			if strings.Contains(text, `"msg":"ready"`) && json.Unmarshal([]byte(text), &line) == nil {
				return true
			}
		}
		return false
	})
	return line
}

// get asks an address with headers given as pairs, and returns status and body.
func get(t *testing.T, client *http.Client, url string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

const testAdminToken = "an admin token of more than 32 characters"

// serveArgs makes a folder with a master key and returns a command line for it.
func serveArgs(t *testing.T, more ...string) (dir string, args []string) {
	t.Helper()
	dir = t.TempDir()
	writeFile(t, filepath.Join(dir, "master.key"), "wpYbU9rEpBWbQyAtsKRWpJfW-gqAzrpTd4RHS0cLVek\n")
	return dir, append([]string{
		"serve", "--issuer", "https://login.example.com", "--keys-master-key-file", filepath.Join(dir, "master.key"),
		"--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
	}, more...)
}

func TestServeOpensThreeDoorsAndClosesThemAll(t *testing.T) {
	dir, args := serveArgs(t)
	r := start(t, []string{"INGAM_ADMIN_TOKEN=" + testAdminToken}, args...)
	at := r.ready(t)
	client := &http.Client{}
	if status, body := get(t, client, "http://"+at["public"]+"/.well-known/jwks.json"); status != 200 || !strings.Contains(body, `"kty"`) {
		t.Errorf("keys: %d %s", status, body)
	}
	if status, _ := get(t, client, "http://"+at["public"]+"/readyz"); status != 404 {
		t.Errorf("the public listener answers /readyz with %d", status)
	}
	if r := runCommand(t, nil, "healthcheck", "--url", "http://"+at["internal"]+"/readyz"); r.status != exitDone {
		t.Errorf("healthcheck: %+v", r)
	}
	status := "http://" + at["internal"] + "/admin/v1/status"
	for name, test := range map[string]struct {
		headers []string
		want    int
	}{
		"no token":     {nil, 401},
		"wrong token":  {[]string{"Authorization", "Bearer " + testAdminToken + "x"}, 401},
		"wrong scheme": {[]string{"Authorization", "Basic " + testAdminToken}, 401},
		"two headers":  {[]string{"Authorization", "Bearer " + testAdminToken, "Authorization", "Bearer x"}, 401},
		"the token":    {[]string{"Authorization", "Bearer " + testAdminToken}, 200},
		"lower case":   {[]string{"Authorization", "bearer " + testAdminToken}, 200},
	} {
		if got, body := get(t, client, status, test.headers...); got != test.want {
			t.Errorf("admin API over TCP with %s: %d %s", name, got, body)
		}
	}
	if path := filepath.Join(dir, "data", adminSocket); at["admin socket"] != path {
		t.Errorf("the log names the socket %s", at["admin socket"])
	}
	overSocket := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialAdminSocket(ctx, filepath.Join(dir, "data"))
	}}}
	if got, body := get(t, overSocket, "http://localhost/admin/v1/status"); got != 200 {
		t.Errorf("admin API over the socket: %d %s", got, body)
	}
	overSocket.CloseIdleConnections()
	client.CloseIdleConnections()
	if status := r.end(t); status != exitDone {
		t.Errorf("exit %d:\n%s", status, r.stderr)
	}
	if strings.Contains(r.stderr.String(), testAdminToken) {
		t.Error("the log holds the admin token")
	}
	for name, want := range map[string]os.FileMode{"data": 0o700 | os.ModeDir, "data/" + storeFile: 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "data", adminSocket)); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestWithoutATokenTheAdminAPIIsOnTheSocketOnly(t *testing.T) {
	_, args := serveArgs(t)
	r := start(t, nil, args...)
	at := r.ready(t)
	if status, _ := get(t, http.DefaultClient, "http://"+at["internal"]+"/admin/v1/status"); status != 404 {
		t.Errorf("%d", status)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestServeRefusesToStartAndSaysWhy(t *testing.T) {
	dir, args := serveArgs(t)
	r := start(t, nil, args...)
	r.ready(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := free.Addr().String()
	defer free.Close()
	devDir := filepath.Join(dir, "dev")
	if err := prepareDevDir(t.Context(), devDir, false); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	for name, test := range map[string]struct {
		env    []string
		args   []string
		status int
		says   string
	}{
		"no master key":                    {args: []string{"serve", "--issuer", "https://login.example.com"}, status: exitUsage, says: "ingam keys new-master-key --out"},
		"a second server on the same data": {args: args, status: exitFailed, says: "another server runs on " + filepath.Join(dir, "data")},
		"a port that is taken":             {args: append(args, "--data-dir", other, "--listen", taken), status: exitFailed, says: "is taken by another program; stop that one, or choose another port with listen (--listen)"},
		"the data of dev mode":             {args: append(args, "--data-dir", devDir), status: exitUsage, says: "belongs to 'ingam dev'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			got := runCommand(t, test.env, test.args...)
			if got.status != test.status || !strings.Contains(got.stderr, test.says) {
				t.Errorf("exit %d: %s", got.status, got.stderr)
			}
		})
	}
}

func TestAnotherMasterKeyThanTheStoresIsAConfigurationProblem(t *testing.T) {
	dir, args := serveArgs(t)
	r := start(t, nil, args...)
	r.ready(t)
	r.end(t)
	if err := os.Remove(filepath.Join(dir, "master.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := writeMasterKey(filepath.Join(dir, "master.key"), false); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, nil, args...)
	if got.status != exitUsage || !strings.Contains(got.stderr, "is not the key under which the store") {
		t.Errorf("exit %d: %s", got.status, got.stderr)
	}
}

func TestReadinessGoesOffBeforeTheListenersClose(t *testing.T) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for delay := 300 * time.Millisecond; ; delay *= 4 { // a busy machine may miss the moment
		_, args := serveArgs(t, "--shutdown-delay", delay.String())
		r := start(t, nil, args...)
		at := r.ready(t)
		r.stop()
		r.await(t, "stopping", func() bool { return strings.Contains(r.stderr.String(), `"msg":"stopping"`) })
		ready, err := client.Get("http://" + at["internal"] + "/readyz")
		if err == nil {
			_ = ready.Body.Close()
			if ready.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("ready while stopping: %d", ready.StatusCode)
			}
			ready, err = client.Get("http://" + at["public"] + "/.well-known/jwks.json")
		}
		if err == nil {
			_ = ready.Body.Close()
			if ready.StatusCode != http.StatusOK {
				t.Errorf("a request that comes in time gets %d", ready.StatusCode)
			}
		}
		if status := r.end(t); status != exitDone {
			t.Errorf("exit %d:\n%s", status, r.stderr)
		}
		if err == nil {
			return
		}
		if delay > 10*time.Second {
			t.Fatalf("closed before %v were over: %v", delay, err)
		}
	}
}

func TestServeSpeaksTLSWithACertificateOfItsOwn(t *testing.T) {
	dir, args := serveArgs(t)
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key)
	r := start(t, nil, append(args, "--tls-cert-file", cert, "--tls-key-file", key)...)
	at := r.ready(t)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
	}}
	answer, err := client.Get("https://" + at["public"] + "/.well-known/jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
		t.Errorf("%s %s", answer.Status, answer.Proto)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections()
}

func TestClientsAndUsersOfFilesAreServed(t *testing.T) {
	dir, args := serveArgs(t)
	for _, name := range []string{"clients.d", "users.d"} {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS("demo/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "ingam.yaml"), "first_party_client: demo-cli\n")
	r := start(t, nil, append(args, "--config", filepath.Join(dir, "ingam.yaml"))...)
	at := r.ready(t)
	answer, err := http.Post("http://"+at["public"]+"/login", "application/json", strings.NewReader(`{"username":"bob","password":"builder"}`))
	if err != nil {
		t.Fatal(err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&token); err != nil || answer.StatusCode != http.StatusOK || token.AccessToken == "" {
		t.Errorf("%s %v", answer.Status, err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if list := runCommand(t, nil, "client", "list", "--data-dir", filepath.Join(dir, "data"), "-o", "json"); !strings.Contains(list.stdout, "demo.yaml") {
		t.Errorf("the file is not named: %+v", list)
	}
}

// A server that is restarted must be back before anybody notices (a key in the store, no needless work at start).
func TestTheFirstKeysAreServedSoonAfterAStart(t *testing.T) {
	_, args := serveArgs(t)
	first := start(t, nil, args...)
	first.ready(t)
	first.end(t)
	best := time.Hour
	for tries := 0; tries < 3 || best > time.Second && tries < 30; tries++ { // some may meet a moment when the machine is busy
		begun := time.Now()
		r := start(t, nil, args...)
		at := r.ready(t)
		if status, _ := get(t, http.DefaultClient, "http://"+at["public"]+"/.well-known/jwks.json"); status != 200 {
			t.Fatal(status)
		}
		best = min(best, time.Since(begun))
		http.DefaultClient.CloseIdleConnections()
		r.end(t)
	}
	t.Log("from start to keys:", best)
	if best > time.Second { // 100 ms is the aim; machines that run tests are busy
		t.Error(fmt.Sprint("the start takes ", best))
	}
}
