package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"text/template"

	_ "embed"
)

// devPorts are the listeners of dev mode.
type devPorts struct{ public, internal, resource, web, spa []net.Listener }

func (p devPorts) close() { closeAll(p.public, p.internal, p.resource, p.web, p.spa) }

// open opens all ports or none, so that a port that is taken is told before anything else happens.
func (o *devOptions) open(ctx context.Context) (p devPorts, err error) {
	for _, one := range []struct {
		target     *[]net.Listener
		port, flag string
	}{
		{&p.public, o.port, "--port"},
		{&p.internal, o.adminPort, "--admin-port"},
		{&p.resource, o.resourcePort, "--resource-port"},
		{&p.web, o.webPort, "--web-port"},
		{&p.spa, o.spaPort, "--spa-port"},
	} {
		if *one.target, err = listenLoopback(ctx, o.listen, one.port, one.flag); err != nil {
			p.close()
			return devPorts{}, err
		}
	}
	return p, nil
}

// devFacts are what dev mode prints, for people and as JSON.
type devFacts struct {
	Version  string       `json:"version"`
	Issuer   string       `json:"issuer"`
	Resource string       `json:"resource"`
	Apps     devApps      `json:"apps"`
	Internal string       `json:"internal"`
	DataDir  string       `json:"data_dir"`
	Users    []demoUser   `json:"users"`
	Clients  []demoClient `json:"clients"`
	Commands devCommands  `json:"commands"`
}

type demoClient struct {
	ID         string   `json:"client_id"`
	Secret     string   `json:"client_secret,omitempty"`
	GrantTypes []string `json:"grant_types"`
}

// devCommands are lines for a shell; each uses what the ones before it have set.
type devCommands struct {
	Token   string `json:"token"`
	Call    string `json:"call"`
	Refresh string `json:"refresh"`
	Login   string `json:"login"`
}

// facts says what runs where.
func (p devPorts) facts(o devOptions) devFacts {
	at := func(l []net.Listener) string {
		_, port, _ := net.SplitHostPort(l[0].Addr().String())
		return "http://" + net.JoinHostPort(o.listen, port)
	}
	f := devFacts{
		Version: versionText(), DataDir: o.dataDir, Users: demoPasswords,
		Issuer: at(p.public), Resource: at(p.resource), Internal: at(p.internal),
		Apps: devApps{Web: at(p.web), SPA: at(p.spa)},
	}
	demo, err := demoRecords()
	if err != nil {
		panic(err) // the files are part of the program, and a test reads them
	}
	for _, c := range demo.clients {
		f.Clients = append(f.Clients, demoClient{ID: c.ID, Secret: demoSecrets[c.ID], GrantTypes: c.GrantTypes})
	}
	alice := f.Users[0]
	f.Commands = devCommands{
		Token: fmt.Sprintf("ANSWER=$(curl -s %s/oauth2/token -d grant_type=password -d client_id=%s -d username=%s -d password=%s)\n",
			f.Issuer, demoFirstParty, alice.Username, alice.Password) +
			`TOKEN=$(echo "$ANSWER" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')` + "\n" + `echo "$ANSWER"`,
		Call: fmt.Sprintf(`curl -s %s/secure-data -H "Authorization: Bearer $TOKEN"`, f.Resource),
		Refresh: `REFRESH=$(echo "$ANSWER" | sed 's/.*"refresh_token":"\([^"]*\)".*/\1/')` + "\n" +
			fmt.Sprintf(`curl -s %s/oauth2/token -d grant_type=refresh_token -d client_id=%s -d "refresh_token=$REFRESH"`,
				f.Issuer, demoFirstParty),
		Login: fmt.Sprintf(`curl -s %s/login -H 'Content-Type: application/json' -d '{"username":"%s","password":"%s"}'`,
			f.Issuer, alice.Username, alice.Password),
	}
	return f
}

//go:embed dev.txt
var devText string

var devTemplate = template.Must(template.New("dev.txt").Funcs(template.FuncMap{
	"indent": func(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") },
	"join":   func(list []string) string { return strings.Join(list, ", ") },
}).Parse(devText))

// print writes the facts. Nobody is told where standard output is gone: the server runs all the same.
func (f devFacts) print(w io.Writer, output string) {
	if output == "json" {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		_ = e.Encode(f)
		return
	}
	_ = devTemplate.Execute(w, f)
}
