package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// layers applies one layer after the other to a config and collects what is wrong.
type layers struct {
	*config
	rows  []setting
	found problems
}

// bad notes a problem.
func (l *layers) bad(at position, key, value, message string) {
	l.found = append(l.found, problem{at: at, key: key, value: value, message: message})
}

// row finds a setting by its key.
func (l *layers) row(key string) (setting, bool) {
	for _, s := range l.rows {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// apply stores one value of a layer.
func (l *layers) apply(s setting, text string, at position) {
	l.report(s, text, at, s.set(text))
}

// report notes where the value of a setting came from, and what is wrong with it. The origin is noted for a wrong value
// too: the setting was given, so nothing else may complain that it is missing.
func (l *layers) report(s setting, text string, at position, wrong string) {
	l.origins[s.key] = at
	if wrong == "" {
		return
	}
	l.bad(at, s.key, s.shown(text), wrong)
}

// file applies the configuration file.
func (l *layers) file(path, named string) {
	l.config.file = path
	// A file that is named and cannot be read is an error and never "no file": the server would start with defaults.
	data, err := os.ReadFile(path)
	if err != nil {
		l.bad(position{file: path}, "", "", fmt.Sprintf("cannot be read (%s): %s", orDefault(named, "configuration"), plain(err)))
		return
	}
	docs, found := parseYAML(path, data)
	l.found = append(l.found, found...)
	if len(docs) > 1 {
		l.bad(docs[1].at, "", "", "is a second document; a configuration is one document, without ---")
	}
	if len(docs) > 0 {
		l.walk("", docs[0])
	}
	l.found = l.found.inOrder()
}

// walk applies a mapping of the file and those inside it.
func (l *layers) walk(path string, n *node) {
	if n.kind != mapNode {
		if n.kind != nullNode { // what stands there may be a secret: it is not shown
			l.bad(n.at, path, "", fmt.Sprintf("is %s; settings are expected here, like %q", n.kind, l.example(path)))
		}
		return
	}
	for _, e := range n.entries {
		key := joinKey(path, e.key)
		s, known := l.row(key)
		switch {
		case known:
			l.node(s, e)
		case l.isGroup(key):
			l.walk(key, e.value)
		default: // its value is not shown: it may be a secret under a misspelt name
			l.bad(e.at, key, "", "is not a setting"+l.suggest(key))
		}
	}
}

// node applies one setting of the file.
func (l *layers) node(s setting, e entry) {
	switch v := e.value; {
	case v.kind == nullNode && s.key == "branding.accent": // #0b57d0 without quotes is a comment
		l.bad(e.at, s.key, "", "has nothing in it; write a colour in quotes, since # begins a comment")
	case v.kind == nullNode: // "key:" with nothing after it, as in a file where the value was commented out
		return
	case v.isScalar():
		// Text, number or true: the setting decides how to read it, so that 5m, "5m" and 007 are what they look like.
		text := v.text
		if s.path {
			text = resolvePath(text, e.at.file)
		}
		if s.isList() {
			l.report(s, text, v.at, s.setList([]string{text}))
			return
		}
		l.apply(s, text, v.at)
	case v.kind == listNode && s.isList():
		l.list(s, v)
	default:
		l.bad(v.at, s.key, "", fmt.Sprintf("is %s; one value is expected", v.kind))
	}
}

// list applies a list of the file and points at the element that is wrong.
func (l *layers) list(s setting, v *node) {
	var items []string
	for _, item := range v.items {
		if !item.isScalar() {
			l.bad(item.at, s.key, "", fmt.Sprintf("has %s in its list; single values are expected", item.kind))
			continue
		}
		if wrong := s.setList([]string{item.text}); wrong != "" {
			l.bad(item.at, s.key, s.shown(item.text), wrong)
			continue
		}
		items = append(items, item.text)
	}
	l.report(s, "", v.at, s.setList(items))
}

// isGroup tells whether settings live below the key.
func (l *layers) isGroup(key string) bool {
	for _, s := range l.rows {
		if strings.HasPrefix(s.key, key+".") {
			return true
		}
	}
	return false
}

// suggest names the setting that was meant: the one of that name in another place, or the one spelt most like it.
func (l *layers) suggest(key string) string {
	var names []string
	last := "." + key[strings.LastIndex(key, ".")+1:]
	for _, s := range l.rows {
		if strings.HasSuffix(s.key, last) {
			return fmt.Sprintf("; did you mean %q?", s.key)
		}
		names = append(names, s.key)
		for group := s.key; strings.Contains(group, "."); {
			group = group[:strings.LastIndex(group, ".")]
			names = append(names, group)
		}
	}
	return didYouMean(key, names)
}

// example is a key that may stand below path.
func (l *layers) example(path string) string {
	for _, s := range l.rows {
		if path == "" || strings.HasPrefix(s.key, path+".") {
			return strings.TrimPrefix(s.key, path+".") + ":"
		}
	}
	return ""
}

// environment applies INGAM_… names. An unknown one is a problem: a misspelt name would silently change nothing.
func (l *layers) environment(environ []string) {
	byName := map[string]setting{}
	names := []string{envConfigFile}
	for _, s := range l.rows {
		byName[s.env()] = s
		names = append(names, s.env())
	}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envConfigFile || hasAnyPrefix(name, foreignEnv) {
			continue
		}
		s, known := byName[name]
		switch {
		case !known:
			l.bad(position{}, name, "", "is not a setting"+didYouMean(name, names)) // its value may be a secret
		case value != "": // an empty one is how compose files leave a variable out
			l.apply(s, value, position{file: name})
		}
	}
}

// flags applies those that were given.
func (l *layers) flags(flags *pflag.FlagSet) {
	for _, s := range l.rows {
		if f := flags.Lookup(s.flag()); f != nil && f.Changed && !s.secret {
			l.apply(s, f.Value.String(), position{file: "--" + f.Name})
		}
	}
}

// secrets reads each secret that is named by a file.
func (l *layers) secrets() {
	for _, s := range l.rows {
		twin, ok := l.row(s.key + "_file")
		if !s.secret || !ok {
			continue
		}
		path, at := *twin.target.(*string), l.origins[twin.key]
		if path == "" {
			continue
		}
		if *s.target.(*string) != "" {
			l.bad(at, twin.key, "", fmt.Sprintf("and %s (%s) are both set; keep one", s.key, l.origins[s.key]))
			continue
		}
		// Tools that write secrets to files end them with a line end or not; it is never part of the secret.
		data, err := os.ReadFile(path)
		text := strings.TrimRight(string(data), "\r\n")
		switch {
		case err != nil:
			l.bad(at, twin.key, path, "cannot be read: "+plain(err))
		case text == "":
			l.bad(at, twin.key, path, "is empty; it should hold "+s.key)
		default:
			if wrong := s.set(text); wrong != "" {
				l.bad(at, twin.key, path, "holds something that "+wrong)
			}
			l.origins[s.key] = position{file: path}
		}
	}
}

// folders fills in the folders beside the configuration file, and checks those that were named.
func (l *layers) folders() {
	// As if the default had been written into the file: otherwise the data would depend on where a command is run.
	if _, set := l.origins["data_dir"]; !set && l.config.file != "" {
		l.DataDir = resolvePath(l.DataDir, l.config.file)
	}
	for _, f := range []struct{ key, name string }{{"clients_dir", "clients.d"}, {"users_dir", "users.d"}} {
		s, _ := l.row(f.key)
		target := s.target.(*string)
		if *target == "" {
			beside := filepath.Join(filepath.Dir(l.config.file), f.name)
			if info, err := os.Stat(beside); l.config.file != "" && err == nil && info.IsDir() {
				*target = beside
			}
			continue
		}
		wrong := ""
		if info, err := os.Stat(*target); err != nil {
			wrong = "cannot be read: " + plain(err)
		} else if !info.IsDir() {
			wrong = "is not a folder"
		}
		if wrong != "" {
			l.bad(l.origins[f.key], f.key, *target, wrong)
			*target = "" // said once
		}
	}
}

// plain is a file system error without the name of the system call and the path, which the caller says better.
func plain(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// hasAnyPrefix tells whether s begins with one of the prefixes.
func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// orDefault is text, or def where text is empty.
func orDefault(text, def string) string {
	if text == "" {
		return def
	}
	return text
}
