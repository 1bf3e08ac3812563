package query_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dialectCase is one entry of testdata/dialect: see README there.
type dialectCase struct {
	name string
	line []byte // the question
	want []byte // the answer

	devices bool // it says what devices are like, of which the oracle knows nothing
}

// TestDialect: what was computed by hand from the dialect is what is answered,
// by the oracle as well.
func TestDialect(t *testing.T) {
	for _, who := range []struct {
		name   string
		answer func([]byte) []byte
	}{{"answer", answer}, {"oracle", oracleAnswer}} {
		for _, c := range dialectCases(t) {
			if c.devices && who.name == "oracle" {
				continue
			}
			t.Run(who.name+"/"+c.name, func(t *testing.T) {
				have := who.answer(c.line)
				for _, diff := range differences(have, c.want) {
					t.Errorf("%s\nquestion %s\nanswer   %s\nwant     %s", diff, c.line, have, c.want)
				}
			})
		}
	}
}

// TestMalformed: a line that is no question gets an answer too, with its id if
// that can be read.
func TestMalformed(t *testing.T) {
	for _, c := range []struct{ line, id string }{
		{"", ""}, {"{", ""}, {"[]", ""}, {"7", ""}, {`{"v":1,"id":"one","policy":7}`, "one"}, {`{"v":1,"id":"two","policy":"{"}`, "two"},
		{`{"v":1,"id":"three","policy":"{}","ask":{"reach":{"src":[],"dst":[],"probes":[[262,22]]}}}`, "three"},
	} {
		var have struct{ ID, Compile, Message string }
		text := answer([]byte(c.line))
		if err := json.Unmarshal(text, &have); err != nil || have.ID != c.id || have.Compile != "error" || have.Message == "" {
			t.Errorf("%q: answered %s (%v), want an error with id %q and a message", c.line, text, err, c.id)
		}
	}
}

// dialectCases reads all cases, and refuses two of one name.
func dialectCases(t *testing.T) []dialectCase {
	t.Helper()
	text, err := os.ReadFile("testdata/dialect/mesh.json")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/dialect/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var all []dialectCase
	seen := map[string]bool{}
	for _, file := range files {
		for i, entry := range entries(t, file) {
			c, err := compose(text, entry)
			if err != nil || seen[c.name] {
				t.Fatalf("%s: case %d, %q: %v, its name was there: %v", file, i+1, c.name, err, seen[c.name])
			}
			seen[c.name] = true
			c.devices = filepath.Base(file) == "devices.txt"
			all = append(all, c)
		}
	}
	return all
}

// entries splits a file into cases, each a map from a key to its text.
func entries(t *testing.T, file string) []map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		entry, key := map[string]string{}, ""
		for line := range strings.SplitSeq(block, "\n") {
			if word, rest, _ := strings.Cut(line, " "); word != "" {
				key, line = word, rest
			}
			entry[key] += strings.TrimSpace(line) + " "
		}
		all = append(all, entry)
	}
	return all
}

// compose makes question and answer of the mesh that all cases share and what
// one of them says.
func compose(mesh []byte, entry map[string]string) (dialectCase, error) {
	c := dialectCase{name: strings.TrimSpace(entry["name"])}
	var question, policy, with, want map[string]any
	if err := json.Unmarshal(mesh, &question); err != nil {
		return c, fmt.Errorf("mesh: %w", err)
	}
	policy = question["policy"].(map[string]any)
	for key, into := range map[string]*map[string]any{"policy": &policy, "with": &with, "want": &want} {
		if text := entry[key]; text != "" {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				return c, fmt.Errorf("%s: %w", key, err)
			}
		}
	}
	nodes := question["nodes"].([]any)
	for key, value := range with {
		question[key] = value
	}
	if more, ok := with["nodes"].([]any); ok {
		question["nodes"] = append(nodes, more...)
	}
	var ask map[string]any
	if err := json.Unmarshal([]byte(entry["ask"]), &ask); err != nil {
		return c, fmt.Errorf("ask: %w", err)
	}
	if reach, ok := ask["reach"].(map[string]any); ok {
		points(reach["src"].([]any))
		points(reach["dst"].([]any))
	}
	text := string(mustJSON(policy))
	if entry["text"] != "" {
		text = entry["text"]
	}
	question["v"], question["id"], question["policy"], question["ask"] = 1, c.name, text, ask
	want["id"] = c.name
	if want["compile"] == nil {
		want["compile"] = "ok"
	}
	c.line, c.want = mustJSON(question), mustJSON(want)
	return c, nil
}

// points writes "ip@node" as a point of a question.
func points(list []any) {
	for i, p := range list {
		ip, node, _ := strings.Cut(p.(string), "@")
		kind := "node"
		if node == "" {
			kind = "literal"
		}
		list[i] = map[string]any{"ip": ip, "node": node, "kind": kind}
	}
}

func mustJSON(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // everything given to it was made here
	}
	return out
}
