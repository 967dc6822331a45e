package keys

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestAMasterKeyIsReadInEveryUsualSpelling(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xef, 0xbe, 0x01}, 8) // with + and / in base64
	want := base64.RawURLEncoding.EncodeToString(raw)
	for name, text := range map[string]string{
		"base64":                 base64.StdEncoding.EncodeToString(raw),
		"base64 without padding": base64.RawStdEncoding.EncodeToString(raw),
		"base64url":              base64.RawURLEncoding.EncodeToString(raw),
		"base64url with padding": base64.URLEncoding.EncodeToString(raw),
		"hex":                    hex.EncodeToString(raw),
		"upper-case hex":         strings.ToUpper(hex.EncodeToString(raw)),
		"a file with line end":   want + "\r\n",
		"white space around":     "\t " + want + " \n",
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParseMasterKey(text)
			if err != nil {
				t.Fatal(err)
			}
			if k.Text() != want {
				t.Errorf("parsed to another key")
			}
		})
	}
}

func TestWhatIsNotAMasterKeyIsRefusedWithAdviceAndWithoutRepeatingIt(t *testing.T) {
	good := NewMasterKey().Text()
	for name, text := range map[string]string{
		"nothing":              "",
		"white space":          " \n",
		"a passphrase":         "correct horse battery staple",
		"16 bytes":             base64.StdEncoding.EncodeToString([]byte("canary-16-bytes!")),
		"31 bytes":             base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1, 2}, 16)[:31]),
		"33 bytes":             base64.StdEncoding.EncodeToString([]byte(strings.Repeat("canary-33-", 4)[:33])),
		"cut by one":           good[:42],
		"two keys":             good + "\n" + good,
		"a line break inside":  good[:20] + "\n" + good[20:],
		"a break and a loss":   good[:20] + "\n" + good[21:],
		"a foreign character":  good[:20] + "!" + good[21:],
		"mixed alphabets":      "-/" + good[2:],
		"loose trailing bits":  good[:42] + string(spareBit(good[42])),
		"hex of 31 bytes":      strings.Repeat("ab", 31),
		"hex with one wrong":   strings.Repeat("ab", 31) + "ag",
		"zeros":                strings.Repeat("A", 43),
		"zeros in hex":         strings.Repeat("0", 64),
		"one byte repeated":    hex.EncodeToString(bytes.Repeat([]byte{0x5a}, 32)),
		"a letter as raw key":  strings.Repeat("k", 32),
		"too much padding":     good + "==",
		"a PEM block":          "-----BEGIN KEY-----\n" + good + "\n-----END KEY-----",
		"a quoted environment": `"` + good + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			k, err := ParseMasterKey(text)
			if err == nil {
				t.Fatal("accepted")
			}
			if k.Text() != "" {
				t.Error("a key came with the error")
			}
			if !strings.Contains(err.Error(), "openssl rand -base64 32") {
				t.Errorf("no advice in %q", err)
			}
			for _, word := range strings.Fields(text) {
				if len(word) > 6 && strings.Contains(err.Error(), word) {
					t.Errorf("the error repeats the text: %q", err)
				}
			}
		})
	}
}

func TestNewMasterKeysDifferAndSurviveTheirText(t *testing.T) {
	a, b := NewMasterKey(), NewMasterKey()
	if a.Text() == b.Text() {
		t.Error("two new keys are the same")
	}
	again, err := ParseMasterKey(a.Text())
	if err != nil || again.Text() != a.Text() {
		t.Errorf("the text does not give the key back: %v", err)
	}
}

// G1: canaries at every way out that Go has for a value.
func TestAMasterKeyNeverPrintsItself(t *testing.T) {
	k := NewMasterKey()
	type settings struct {
		Master MasterKey
		hidden MasterKey // fmt calls no methods here
	}
	var logs bytes.Buffer
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	for _, h := range []slog.Handler{slog.NewTextHandler(&logs, level), slog.NewJSONHandler(&logs, level)} {
		slog.New(h).Debug("x", "master", k, "pointer", &k, "in", settings{k, k}, "list", []MasterKey{k})
	}
	outputs := map[string]string{"log/slog": logs.String(), "String": k.String(), "GoString": k.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%o", "%b", "%U", "%c"} {
		outputs[verb] = fmt.Sprintf(verb, k) + fmt.Sprintf(verb, &k) + fmt.Sprintf(verb, settings{k, k}) +
			fmt.Sprintf(verb, []any{k, &settings{k, k}}) + fmt.Sprintf(verb, Config{Master: k})
	}
	if got := fmt.Sprintf("%v %+v %#v %s %d %x", k, k, k, k, k, k); got != strings.Repeat(" [redacted]", 6)[1:] {
		t.Errorf("a master key prints as %s", got)
	}
	for how, output := range outputs {
		if leak := findSecret([]byte(output), k.bytes()[:]); leak != "" {
			t.Errorf("%s shows the key as %s", how, leak)
		}
	}
	if text, err := json.Marshal(settings{Master: k}); err == nil {
		t.Errorf("json.Marshal wrote %d bytes instead of failing", len(text))
	} else if leak := findSecret([]byte(err.Error()), k.bytes()[:]); leak != "" {
		t.Errorf("the error of json.Marshal shows the key as %s", leak)
	}
}

// findSecret looks for eight bytes out of the middle of secret in every spelling that Go prints by itself.
func findSecret(output, secret []byte) (spelling string) {
	mid := secret[len(secret)/2/3*3:][:9] // at a multiple of three, where base64 starts anew
	var decimals, hexes []string
	for _, b := range mid {
		decimals, hexes = append(decimals, fmt.Sprint(b)), append(hexes, fmt.Sprintf("0x%x", b))
	}
	for name, form := range map[string]string{
		"raw bytes":    string(mid),
		"hex":          hex.EncodeToString(mid),
		"HEX":          strings.ToUpper(hex.EncodeToString(mid)),
		"base64":       base64.RawStdEncoding.EncodeToString(mid),
		"base64url":    base64.RawURLEncoding.EncodeToString(mid),
		"decimals":     strings.Join(decimals, " "),
		"a JSON list":  strings.Join(decimals, ","),
		"Go source":    strings.Join(hexes, ", "),
		"quoted bytes": strings.Trim(fmt.Sprintf("%q", mid), `"`),
	} {
		if bytes.Contains(output, []byte(form)) {
			return name
		}
	}
	return ""
}

func TestTheSearchForSecretsFindsThem(t *testing.T) {
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = 0xc8 + byte(i) // no two of them make a character, so that %q spells each alike wherever it stands
	}
	for _, verb := range []string{"%v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		if findSecret(fmt.Appendf(nil, verb, secret), secret) == "" {
			t.Errorf("not found in the output of %s", verb)
		}
	}
	text, _ := json.Marshal(secret)
	if findSecret(text, secret) == "" {
		t.Error("not found in JSON")
	}
	if leak := findSecret([]byte("[redacted]"), secret); leak != "" {
		t.Errorf("found as %s where it is not", leak)
	}
}
