package main

import (
	"reflect"
	"testing"

	"github.com/cordonmesh/cordon/acl/diff"
	"github.com/cordonmesh/cordon/coordinator/admin"
)

// What a coordinator leaves out of a set, or does not tell, is not lost on the way to a program
// that reads JSON.
func TestReceivedDiffIsWhole(t *testing.T) {
	set := &admin.ReachSet{Text: "all 300 tagged nodes (but archive)", All: []string{"nodes"}, Except: &admin.ReachSet{Nodes: []string{"archive"}}}
	got := receivedDiff(&admin.DiffPolicyResponse{Nodes: 300, Untold: true, Gained: []*admin.ReachChange{{Who: set, Text: "text"}}})
	want := diff.Set{Text: "all 300 tagged nodes (but archive)", All: []string{"nodes"}, Except: &diff.Set{Nodes: []string{"archive"}}}
	if !got.Untold || !got.Changed || len(got.Gained) != 1 || !reflect.DeepEqual(got.Gained[0].Who, want) {
		t.Errorf("%+v", got)
	}
}
