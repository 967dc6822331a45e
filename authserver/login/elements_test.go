package login

import (
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html"
)

// elements reads a page with a real HTML tokenizer and answers what no template of ours has written.
func elements(page string) []string {
	var bad []string
	scripts := 0
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() != io.EOF { //nolint:errorlint // the tokenizer documents io.EOF itself
				bad = append(bad, z.Err().Error())
			}
			return bad
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		token := z.Token()
		switch token.Data {
		case "script":
			scripts++
		case "svg", "object", "embed", "base", "math", "style", "template":
			bad = append(bad, "element "+token.Data)
		}
		for _, a := range token.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" || a.Key == "formaction" {
				bad = append(bad, "attribute "+a.Key)
			}
			if bad2 := address(a); bad2 != "" {
				bad = append(bad, bad2)
			}
		}
		if scripts > 1 {
			bad = append(bad, "a second script")
		}
	}
}

// address answers what is wrong with an attribute that is an address.
func address(a html.Attribute) string {
	if a.Key != "href" && a.Key != "src" && a.Key != "action" {
		return ""
	}
	value := strings.ToLower(strings.TrimSpace(a.Val))
	for _, scheme := range unsafeSchemes {
		if strings.HasPrefix(value, scheme+":") {
			return fmt.Sprintf("%s=%q", a.Key, a.Val)
		}
	}
	return ""
}
