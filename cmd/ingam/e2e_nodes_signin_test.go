//go:build unix

package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// signInNodes are three nodes, a person, and the clients that sign her in.
type signInNodes struct {
	*nodes
	client           *http.Client // what is no browser
	shop, own, thief webClient
	signs            assertingClient
}

func TestThreeNodesOnOneRedisSignPeopleInAsOne(t *testing.T) {
	clientSide := newLogoutReceiver(t)
	c := &signInNodes{nodes: startNodes(t, 3, quickRedis(t), slices.Concat(quickHashes, manyGuesses, []string{
		"INGAM_OUTBOUND_ALLOWED_NETWORKS=127.0.0.0/8",
	})...), client: nodesClient(t)}
	first := c.all[0]
	first.cli(t, carolsPassword, "user", "add", "carol", "--password-stdin")
	c.shop = first.addWebClient(t, "shop", shopURI)
	c.own = first.addWebClient(t, "own", ownURI, "--first-party", "--session-bound")
	c.thief = first.addWebClient(t, "thief", "https://thief.example.test/callback")
	told := first.addWebClient(t, "told", "https://told.example.test/callback", "--first-party", "--backchannel-logout-uri", clientSide.url)
	c.signs = first.addAssertingClient(t, "signs", c.issuer)

	t.Run("what a page of one node asks, another takes", c.formsTravel)
	t.Run("a code is redeemed once", c.codesAreRedeemedOnce)
	t.Run("a code that another client presents stays what it is", c.foreignCodesChangeNothing)
	t.Run("a client assertion counts once", c.assertionsCountOnce)
	t.Run("a pushed request is used once", c.pushedRequestsAreUsedOnce)
	t.Run("a sign-out counts at all at once", c.logoutsCountEverywhere)
	t.Run("a client hears of a logout from another node if the first one dies", func(t *testing.T) {
		c.logoutOutlivesItsNode(t, told, clientSide)
	})
}

// formsTravel: every step of a sign-in is at another node than the one before, in each order.
func (c *signInNodes) formsTravel(t *testing.T) {
	for shift := range c.all {
		nodes := slices.Concat(c.all[shift:], c.all[:shift])
		b := c.browser(t)
		address := signInRequest("shop", shopURI, "prompt", "login consent")
		pg := mustPage(t)(b.at(nodes[0]).open(address))
		pg = mustPage(t)(b.at(nodes[1]).submit(pg, "/login", "username", "carol", "password", carolsPassword))
		if _, ok := pg.forms["/consent"]; !ok {
			t.Fatalf("the sign-in form of %s is not taken by %s: at %s: %v", nodes[0].name, nodes[1].name, pg.at, pg.answer)
		}
		asked := pg
		pg = mustPage(t)(b.at(nodes[2]).submit(pg, "/consent", "decision", "allow"))
		if pg.arrived(shopURI, "code") == "" {
			t.Fatalf("the consent form of %s is not taken by %s: at %s: %v", nodes[1].name, nodes[2].name, pg.at, pg.answer)
		}
		// A17: both count once, wherever they come again, and the form in this browser only.
		if pg := mustPage(t)(b.at(nodes[0]).submit(asked, "/consent", "decision", "allow")); pg.arrived(shopURI, "code") != "" {
			t.Error("a consent form counts twice, at two nodes")
		}
		c.proofsTravel(t, b, nodes)
		if pg := mustPage(t)(c.browser(t).at(nodes[2]).submit(asked, "/consent", "decision", "allow")); pg.status != http.StatusForbidden {
			t.Errorf("another browser sends the form: %v", pg.answer)
		}
	}
}

// proofsTravel: the proof that one node makes of a sign-in is taken by another, and counts once.
func (c *signInNodes) proofsTravel(t *testing.T, b *nodesBrowser, nodes []*serverNode) {
	t.Helper()
	pg := mustPage(t)(b.at(nodes[0]).open(signInRequest("own", ownURI, "prompt", "login")))
	form := pg.forms["/login"]
	if form == nil {
		t.Fatalf("prompt=login: at %s: %v", pg.at, pg.answer)
	}
	form.Set("username", "carol")
	form.Set("password", carolsPassword)
	a := must(t)(b.at(nodes[1]).send(http.MethodPost, "/login", form))
	proven := strings.TrimPrefix(a.header.Get("Location"), c.issuer)
	if !strings.Contains(proven, "&ingam_proof=") {
		t.Fatalf("no proof: %v, to %s", a, proven)
	}
	if pg := mustPage(t)(b.at(nodes[2]).open(proven)); pg.arrived(ownURI, "code") == "" {
		t.Errorf("a proof of %s is not taken by %s: at %s: %v", nodes[1].name, nodes[2].name, pg.at, pg.answer)
	}
	if pg := mustPage(t)(b.at(nodes[0]).open(proven)); pg.forms["/login"] == nil {
		t.Errorf("a proof counts twice, at two nodes: at %s: %v", pg.at, pg.answer)
	}
}

// codesAreRedeemedOnce: row R1, with row R3 in the middle of the race.
func (c *signInNodes) codesAreRedeemedOnce(t *testing.T) {
	const perNode = 8
	b := c.browser(t).at(c.all[0])
	codes, twice, nobody, strangers, alive := nodesFigure(20, 1000), 0, 0, 0, 0
	for range codes {
		code := b.code(t, signInRequest("shop", shopURI), shopURI)
		answers := allAtOnce((perNode+1)*len(c.all), func(i int) answer {
			who := c.shop
			if i >= perNode*len(c.all) {
				who = c.thief
			}
			a, err := who.redeem(c.client, c.all[i%len(c.all)], code)
			if err != nil {
				t.Errorf("%s: %v", who.id, err)
			}
			return a
		})
		for _, a := range answers[perNode*len(c.all):] {
			if a.status != http.StatusBadRequest || a.tokens().Error != "invalid_grant" {
				strangers++
				t.Errorf("another client: %v", a)
			}
		}
		won := ""
		for _, a := range answers[:perNode*len(c.all)] {
			switch got := a.tokens(); {
			case a.status == http.StatusOK && got.Access != "" && won == "":
				won = got.Access
			case a.status == http.StatusOK:
				twice++
				t.Error("redeemed twice")
			case a.status != http.StatusBadRequest || got.Error != "invalid_grant":
				t.Errorf("neither tokens nor invalid_grant: %v", a)
			}
		}
		if won == "" {
			nobody++
			t.Error("redeemed by nobody")
			continue
		}
		alive += c.userinfoAlive(t, c.client, won)
	}
	nodesPromise(t, "one code, many redemptions (R1)", twice+nobody+strangers+alive,
		"%d codes, %d attempts each over 3 nodes, redeemed twice=%d by nobody=%d by another client=%d alive after the reuse=%d,",
		codes, perNode*len(c.all), twice, nobody, strangers, alive)
}

// foreignCodesChangeNothing: row R3. Only its own client burns a code, and only its own client's reuse ends the sign-in.
func (c *signInNodes) foreignCodesChangeNothing(t *testing.T) {
	b := c.browser(t).at(c.all[0])
	foreign := func(n *serverNode, code string) {
		if a := must(t)(c.thief.redeem(c.client, n, code)); a.tokens().Error != "invalid_grant" {
			t.Errorf("another client at %s: %v", n.name, a)
		}
	}
	for i := range c.all {
		one, two, three := c.all[i], c.all[(i+1)%3], c.all[(i+2)%3]
		code := b.code(t, signInRequest("shop", shopURI), shopURI)
		foreign(two, code)
		a := must(t)(c.shop.redeem(c.client, one, code))
		got := a.tokens()
		if a.status != http.StatusOK {
			t.Fatalf("after another client's attempt at %s: %v", two.name, a)
		}
		foreign(three, code)
		for _, n := range c.all {
			info := must(t)(ask(c.client, http.MethodGet, n.public+"/userinfo", "", "Authorization", "Bearer "+got.Access))
			if info.status != http.StatusOK {
				t.Errorf("another client's attempt ended the sign-in: userinfo at %s: %v", n.name, info)
			}
		}
		if a = must(t)(c.shop.refresh(c.client, two, got.Refresh)); a.status != http.StatusOK {
			t.Errorf("another client's attempt ended the sign-in: refresh at %s: %v", two.name, a)
		}
		if again := must(t)(c.shop.redeem(c.client, three, code)); again.tokens().Error != "invalid_grant" {
			t.Errorf("its own client again at %s: %v", three.name, again)
		}
		c.userinfoAlive(t, c.client, a.tokens().Access)
	}
}

// assertionsCountOnce: row C5.
func (c *signInNodes) assertionsCountOnce(t *testing.T) {
	const attempts = 24
	rounds, taken, refused := nodesFigure(10, 500), 0, 0
	for range rounds {
		assertion := c.signs.assertion(t)
		for _, a := range allAtOnce(attempts, func(i int) answer {
			a, err := c.signs.token(c.client, c.all[i%len(c.all)], assertion)
			if err != nil {
				t.Error(err)
			}
			return a
		}) {
			switch {
			case a.status == http.StatusOK:
				taken++
			case a.tokens().Error == "invalid_client":
				refused++
			default:
				t.Errorf("neither a token nor invalid_client: %v", a)
			}
		}
	}
	for _, n := range c.all {
		if a := must(t)(c.signs.token(c.client, n, c.signs.assertion(t))); a.status != http.StatusOK {
			t.Errorf("%s refuses a new assertion: %v", n.name, a)
		}
	}
	nodesPromise(t, "one assertion, many uses (C5)", max(taken-rounds, rounds-taken),
		"%d assertions, %d uses each over 3 nodes, taken=%d refused=%d,", rounds, attempts, taken, refused)
}

// pushedRequestsAreUsedOnce: RFC 9126 §4.
func (c *signInNodes) pushedRequestsAreUsedOnce(t *testing.T) {
	const attempts = 16
	b := c.browser(t)
	b.code(t, signInRequest("own", ownURI), ownURI)
	elsewhere := b.at(c.all[1], c.all[2])
	rounds, codes := nodesFigure(10, 500), 0
	for range rounds {
		a := must(t)(post(c.client, c.all[0].public+"/oauth2/par", "client_id", "own", "client_secret", c.own.secret,
			"redirect_uri", ownURI, "response_type", "code", "scope", "openid profile", "state", "s"))
		var pushed struct {
			URI string `json:"request_uri"`
		}
		if err := json.Unmarshal([]byte(a.body), &pushed); err != nil || a.status != http.StatusCreated {
			t.Fatalf("pushed: %v", a)
		}
		address := "/oauth2/auth?" + encode("client_id", "own", "request_uri", pushed.URI)
		for _, pg := range allAtOnce(attempts, func(int) nodesPage {
			pg, err := elsewhere.open(address)
			if err != nil {
				t.Error(err)
			}
			return pg
		}) {
			switch {
			case pg.arrived(ownURI, "code") != "":
				codes++
			case pg.arrived(ownURI, "error") == "" && pg.status != http.StatusBadRequest:
				t.Errorf("neither a code nor a refusal: at %s: %v", pg.at, pg.answer)
			}
		}
	}
	nodesPromise(t, "one pushed request, many uses", max(codes-rounds, rounds-codes), "%d requests, %d uses each over 2 nodes, codes=%d,",
		rounds, attempts, codes)
}
