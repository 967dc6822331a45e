package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A node is a piece of a YAML document that remembers where it stands, so that every problem can say so. It is walked
// by hand: decoding into a struct would stop at the first problem and lose the place of most.
type node struct {
	kind    nodeKind
	text    string // a scalar as written, without quotes
	at      position
	entries []entry // of a mapping, in order
	items   []*node // of a list
}

type entry struct {
	key   string
	at    position // of the key
	value *node
}

type position struct {
	file         string
	line, column int
}

func (p position) String() string {
	switch {
	case p.line > 0:
		return fmt.Sprintf("%s:%d:%d", p.file, p.line, p.column)
	default:
		return p.file
	}
}

type nodeKind int

const (
	nullNode nodeKind = iota
	textNode
	boolNode
	numberNode
	mapNode
	listNode
)

// String names what stands there in the words of a YAML user.
func (k nodeKind) String() string {
	return [...]string{"nothing", "text", "true or false", "a number", "a mapping", "a list"}[k]
}

// isScalar tells whether the node is one value.
func (n *node) isScalar() bool { return n.kind != mapNode && n.kind != listNode && n.kind != nullNode }

// parseYAML reads all documents of a file. Empty documents are left out.
func parseYAML(file string, data []byte) (docs []*node, found problems) {
	// The parser is not hardened against every odd input; a panic in it is a syntax error to the operator.
	defer func() {
		if recover() != nil {
			docs, found = nil, problems{{at: position{file: file}, message: "is not YAML that this program understands"}}
		}
	}()
	parsed, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, problems{syntaxProblem(file, err)}
	}
	r := reader{file: file}
	for _, doc := range parsed.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		docs = append(docs, r.node("", doc.Body))
	}
	return docs, r.found
}

// syntaxProblem keeps message and place of the parser's error and drops the excerpt, which may show a secret.
func syntaxProblem(file string, err error) problem {
	p := problem{at: position{file: file}, message: "is not valid YAML"}
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		return p
	}
	p.message = "is not valid YAML: " + syntax.GetMessage()
	if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
		p.at.line, p.at.column = tk.Position.Line, tk.Position.Column
	}
	return p
}

// reader turns the parser's tree into nodes.
type reader struct {
	file  string
	found problems
}

// place is where a token stands.
func (r *reader) place(tk *token.Token) position {
	p := position{file: r.file}
	if tk != nil && tk.Position != nil {
		p.line, p.column = tk.Position.Line, tk.Position.Column
	}
	return p
}

// node reads one node and all below it. path is for problems only.
func (r *reader) node(path string, n ast.Node) *node {
	out := &node{at: r.place(n.GetToken())}
	switch n := n.(type) {
	case *ast.MappingNode:
		r.mapping(path, out, n.Values)
	case *ast.MappingValueNode:
		r.mapping(path, out, []*ast.MappingValueNode{n})
	case *ast.SequenceNode:
		out.kind = listNode
		for i, item := range n.Values {
			out.items = append(out.items, r.node(fmt.Sprintf("%s[%d]", path, i), item))
		}
	case *ast.NullNode:
		out.kind = nullNode
	case *ast.BoolNode:
		out.kind, out.text = boolNode, n.GetToken().Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text = numberNode, n.GetToken().Value
	case *ast.StringNode:
		out.kind, out.text = textNode, n.Value
	case *ast.LiteralNode:
		out.kind, out.text = textNode, n.Value.Value
	default:
		// Anchors and aliases (which can make a small file huge), tags and merges: a configuration needs none of them.
		r.found = append(r.found, problem{
			at: out.at, key: path,
			message: "anchors (&), aliases (*), tags (!) and merge keys (<<) are not understood here; write the value out",
		})
	}
	return out
}

// mapping reads the entries of a mapping. Of a key that stands there twice the first counts, so that the rest of the file
// can still be judged.
func (r *reader) mapping(path string, out *node, values []*ast.MappingValueNode) {
	out.kind = mapNode
	for i, v := range values {
		e := entry{key: v.Key.GetToken().Value, at: r.place(v.Key.GetToken())}
		if i == 0 {
			out.at = e.at // the parser points at the first colon
		}
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			r.node(joinKey(path, e.key), v.Key)
			continue
		}
		e.value = r.node(joinKey(path, e.key), v.Value)
		if first := slices.IndexFunc(out.entries, func(o entry) bool { return o.key == e.key }); first >= 0 {
			r.found = append(r.found, problem{
				at: e.at, key: joinKey(path, e.key),
				message: fmt.Sprintf("is there already, on line %d; keep one", out.entries[first].at.line),
			})
			continue
		}
		out.entries = append(out.entries, e)
	}
}

// joinKey is the path of a key inside path.
func joinKey(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
