package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Whoever gives a tag may write it in any letter case: it is one tag, and kept in one
// spelling.
func TestTagsInAnyCase(t *testing.T) {
	m := begin(t)
	m.do(registry.SetPolicy{File: "p", Text: `{"tagOwners": {"tag:Ehr": [], "tag:pacs": []}}`})
	m.token("t", registry.CreateToken{Tags: []string{"tag:PACS", "tag:EHR", "tag:ehr"}})
	if token, _ := m.state.Token("t"); fmt.Sprint(token.Tags) != "[tag:ehr tag:pacs]" || len(m.last.Result.Warnings) != 0 {
		t.Errorf("the token admits %v, with warnings %q", token.Tags, m.last.Result.Warnings)
	}
	n := m.do(newMachine().enrol("t", "archive")).Node
	if fmt.Sprint(n.Tags) != "[tag:ehr tag:pacs]" {
		t.Errorf("the node has %v", n.Tags)
	}
	if r := m.do(registry.TagNode{Node: "archive", Tags: []string{"tag:pacs", "tag:Ehr"}}); r.Changed || fmt.Sprint(r.Node.Tags) != "[tag:ehr tag:pacs]" {
		t.Errorf("the same tags in other letters change it to %v", r.Node.Tags)
	}
	m.refused(registry.TagNode{Node: "archive", Tags: []string{"tag:\u212a"}}, registry.ErrInvalid) // the sign for a kelvin
	m.refused(registry.TagNode{Node: "archive", Tags: []string{"Tag:ehr"}}, registry.ErrInvalid)
}

// What an earlier version stored with capitals is the tag that the policy names, in
// whatever letters: out of a checkpoint, and out of the journal behind it.
func TestStoredTagsInCapitals(t *testing.T) {
	m := begin(t)
	start := m.state
	m.token("t", registry.CreateToken{Tags: []string{"tag:ehr", "tag:pacs"}})
	entries := m.last.Entries
	n := m.do(newMachine().enrol("t", "archive")).Node
	entries = append(entries, m.last.Entries...)
	capitals := strings.NewReplacer("tag:ehr", "tag:PACS", "tag:pacs", "tag:Ehr")

	stored := capitals.Replace(m.encoded())
	if !strings.Contains(stored, `"tag:PACS","tag:Ehr"`) {
		t.Fatalf("nothing is stored with capitals: %s", stored)
	}
	restored, err := registry.DecodeState([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		b, err := registry.EncodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		if entries[i], err = registry.DecodeEntry(e.Revision, []byte(capitals.Replace(string(b)))); err != nil {
			t.Fatal(err)
		}
	}
	for what, state := range map[string]*registry.State{"a checkpoint": restored, "the journal": replayed(t, start, entries)} {
		node, _ := state.Node(n.ID)
		token, _ := state.Token("t")
		if fmt.Sprint(node.Tags, token.Tags) != "[tag:ehr tag:pacs] [tag:ehr tag:pacs]" {
			t.Errorf("out of %s the node has %v, and the token admits %v", what, node.Tags, token.Tags)
		}
	}
}
