package login

import "strings"

// named is a mark in a User-Agent and what it means.
type named struct{ mark, name string }

// In this order: browsers name their ancestors as well.
var (
	browsers = []named{
		{"Edg/", "Edge"},
		{"EdgA/", "Edge"},
		{"EdgiOS/", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Whale/", "Whale"},
		{"Vivaldi/", "Vivaldi"},
		{"FxiOS/", "Firefox"},
		{"Firefox/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
	}
	systems = []named{
		{"iPhone", "iOS"},
		{"iPad", "iPadOS"},
		{"Android", "Android"},
		{"CrOS", "ChromeOS"},
		{"Windows", "Windows"},
		{"Macintosh", "macOS"},
		{"Mac OS X", "macOS"},
		{"Linux", "Linux"},
	}
)

// device says in a few words what a User-Agent stands for; what it does not know it does not guess.
func (c catalogue) device(userAgent string) string {
	browser, system := first(browsers, userAgent), first(systems, userAgent)
	switch {
	case browser != "" && system != "":
		return c.text("device.both", "browser", browser, "system", system)
	case browser != "":
		return browser
	case system != "":
		return system
	}
	return c.text("device.unknown")
}

func first(list []named, text string) string {
	for _, n := range list {
		if strings.Contains(text, n.mark) {
			return n.name
		}
	}
	return ""
}
