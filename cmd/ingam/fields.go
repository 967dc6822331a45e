package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// A field takes the value of one name of a record and says what would be right, "" when it is.
type field func(v *node) string

// decode hands each entry of a record to its field. The values are never shown: some are hashes.
func decode(n *node, fields map[string]field, instead map[string]string) (found problems) {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	for _, e := range n.entries {
		f, known := fields[e.key]
		switch {
		case !known && instead[e.key] != "":
			found = append(found, problem{at: e.at, key: e.key, message: instead[e.key]})
		case !known:
			found = append(found, problem{at: e.at, key: e.key, message: "is not a field" + didYouMean(e.key, names)})
		case e.value.kind == nullNode:
		default:
			if wrong := f(e.value); wrong != "" {
				found = append(found, problem{at: e.value.at, key: e.key, message: wrong})
			}
		}
	}
	return found
}

// The fields, by kind of value.

// textField takes any scalar as it is written: a username 007 or no stays what the operator sees.
func textField(target *string) field {
	return func(v *node) string {
		if !v.isScalar() {
			return fmt.Sprintf("is %s; text is expected", v.kind)
		}
		*target = v.text
		return ""
	}
}

// boolField takes true and false only. "yes" and "no" mean different things to different readers of YAML.
func boolField(target *bool) field {
	return func(v *node) string {
		if v.kind != boolNode {
			return "is neither true nor false"
		}
		*target = v.text == "true"
		return ""
	}
}

// countField takes a whole number.
func countField(target *uint64) field {
	return func(v *node) string {
		n, err := strconv.ParseUint(v.text, 10, 64)
		if err != nil {
			return "is not a whole number from 0"
		}
		*target = n
		return ""
	}
}

// listField takes a list, or a single value for a list of one.
func listField(target *[]string) field {
	return func(v *node) string {
		items := v.items
		if v.isScalar() {
			items = []*node{v}
		} else if v.kind != listNode {
			return fmt.Sprintf("is %s; a list is expected", v.kind)
		}
		for i, item := range items {
			if !item.isScalar() {
				return fmt.Sprintf("has %s at place %d of its list; text is expected", item.kind, i+1)
			}
			*target = append(*target, item.text)
		}
		return ""
	}
}

// wordsField takes scopes: a list, or words separated by spaces as on the wire (RFC 6749 §3.3).
func wordsField(target *[]string) field {
	return func(v *node) string {
		if len(*target) > 0 {
			return "is given twice, as scope and as scopes; keep one"
		}
		if v.isScalar() {
			*target = strings.Fields(v.text)
			return ""
		}
		return listField(target)(v)
	}
}

// graceField takes a duration; none at all leaves the server's own.
func graceField(target **time.Duration) field {
	return func(v *node) string {
		d, ok := parseDuration(v.text)
		if !v.isScalar() || !ok {
			return "is not a duration; write it like 10s, or 0s for none"
		}
		*target = &d
		return ""
	}
}

// secondsField takes a number of seconds (OIDC Registration §2) or a duration.
func secondsField(target **int64) field {
	return func(v *node) string {
		if n, err := strconv.ParseInt(v.text, 10, 64); v.isScalar() && err == nil {
			*target = &n
			return ""
		}
		d, ok := parseDuration(v.text)
		if !v.isScalar() || !ok {
			return "is not a number of seconds and not a duration; write it like 3600 or 1h"
		}
		*target = new(int64(d.Seconds()))
		return ""
	}
}

// jwksField takes a key set (RFC 7517 §5), written out or as JSON text; admin.CheckClient judges it.
func jwksField(target *json.RawMessage) field {
	return func(v *node) string {
		const wrong = `is not a key set; write keys: and a list of public keys below it, or JSON text like '{"keys":[…]}'`
		switch {
		case v.kind == textNode && json.Valid([]byte(v.text)):
			*target = json.RawMessage(v.text)
			return ""
		case v.kind != mapNode:
			return wrong
		}
		data, err := json.Marshal(v.value())
		if err != nil {
			return wrong
		}
		*target = data
		return ""
	}
}

// hashesField takes one or several SHA-256 of secrets, as sha256sum prints them or in base64. Two live secrets let one
// be rotated without an outage.
func hashesField(target *[]storage.ClientSecret) field {
	return func(v *node) string {
		var texts []string
		if wrong := listField(&texts)(v); wrong != "" {
			return wrong
		}
		for _, text := range texts {
			hash, err := hex.DecodeString(text)
			if err != nil || len(hash) != sha256.Size {
				hash, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text), "="))
			}
			if err != nil || len(hash) != sha256.Size {
				return "is not a SHA-256 in hexadecimal; 'printf %s \"$SECRET\" | sha256sum' makes one"
			}
			*target = append(*target, storage.ClientSecret{Hash: hash})
		}
		return ""
	}
}

// secretFileField takes the paths of files that hold a secret each, such as container platforms mount them. Only the
// digest is kept.
func secretFileField(target *[]storage.ClientSecret) field {
	return func(v *node) string {
		var paths []string
		if wrong := listField(&paths)(v); wrong != "" {
			return wrong
		}
		for _, path := range paths {
			data, err := os.ReadFile(resolvePath(path, v.at.file))
			secret := strings.TrimRight(string(data), "\r\n")
			switch {
			case err != nil:
				return fmt.Sprintf("%q cannot be read: %s", path, plain(err))
			case secret == "":
				return fmt.Sprintf("%q is empty", path)
			}
			sum := sha256.Sum256([]byte(secret))
			*target = append(*target, storage.ClientSecret{Hash: sum[:]})
		}
		return ""
	}
}

// claimsField takes facts about a user, nested as deep as the operator likes; admin.CheckUser judges them.
func claimsField(target *map[string]any) field {
	return func(v *node) string {
		if v.kind != mapNode {
			return fmt.Sprintf("is %s; claims with names are expected", v.kind)
		}
		*target, _ = v.value().(map[string]any)
		return ""
	}
}

// value is a node as encoding/json would have read it.
func (n *node) value() any {
	switch n.kind {
	case mapNode:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.key] = e.value.value()
		}
		return m
	case listNode:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.value()
		}
		return items
	case boolNode:
		return n.text == "true"
	case numberNode:
		if f, err := strconv.ParseFloat(n.text, 64); err == nil {
			return f
		}
		return n.text
	case nullNode:
		return nil
	}
	return n.text
}
