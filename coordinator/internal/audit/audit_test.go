package audit_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
)

func records(all []audit.Record) iter.Seq2[audit.Record, error] {
	return func(yield func(audit.Record, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func build(n int) (all []audit.Record, head audit.Head) {
	for i := range n {
		var r audit.Record
		r, head = audit.Seal(head, audit.Draft{Time: time.UnixMilli(int64(i)), Actor: "operator:ana", Action: "node.tag",
			Object: fmt.Sprint("n-", i), Detail: "from <a> to \"b\"\n", Revision: uint64(i)})
		all = append(all, r)
	}
	return all, head
}

func brokenAt(t testing.TB, err error) uint64 {
	t.Helper()
	var broken *audit.BrokenError
	if !errors.As(err, &broken) {
		t.Fatalf("verify gives %v, want a *BrokenError", err)
	}
	if !strings.Contains(err.Error(), fmt.Sprint("record ", broken.Sequence)) {
		t.Errorf("%q does not name the record", err)
	}
	return broken.Sequence
}

func TestVerify(t *testing.T) {
	all, head := build(20)
	if got, err := audit.VerifyTo(head, records(all)); err != nil || got != head {
		t.Fatalf("a sound chain gives %v, %v", got, err)
	}
	middle := audit.Head{Sequence: all[9].Sequence, Hash: all[9].Hash}
	if got, err := audit.Verify(middle, records(all[10:])); err != nil || got != head {
		t.Fatalf("the second half gives %v, %v", got, err)
	}
	if _, err := audit.Verify(audit.Head{}, records(nil)); err != nil {
		t.Fatalf("an empty chain gives %v", err)
	}
}

func TestVerifyNamesTheFirstBadRecord(t *testing.T) {
	for name, spoil := range map[string]func(r *audit.Record){
		"time":     func(r *audit.Record) { r.Time = r.Time.Add(time.Millisecond) },
		"actor":    func(r *audit.Record) { r.Actor += "x" },
		"action":   func(r *audit.Record) { r.Action = "" },
		"object":   func(r *audit.Record) { r.Object, r.Detail = r.Object+r.Detail[:1], r.Detail[1:] },
		"detail":   func(r *audit.Record) { r.Detail = "" },
		"revision": func(r *audit.Record) { r.Revision++ },
		"previous": func(r *audit.Record) { r.Previous[0] ^= 1 },
		"hash":     func(r *audit.Record) { r.Hash[31] ^= 0x80 },
		"sequence": func(r *audit.Record) { r.Sequence++ },
	} {
		all, head := build(20)
		spoil(&all[6])
		if _, err := audit.VerifyTo(head, records(all)); brokenAt(t, err) != 7 {
			t.Errorf("%s: %v, want a break at 7", name, err)
		}
	}
}

func TestVerifyFindsDroppedMovedAndCut(t *testing.T) {
	all, head := build(20)
	if _, err := audit.Verify(audit.Head{}, records(slices.Delete(slices.Clone(all), 6, 7))); brokenAt(t, err) != 7 {
		t.Error(err)
	}
	moved := slices.Clone(all)
	moved[6], moved[7] = moved[7], moved[6]
	if _, err := audit.Verify(audit.Head{}, records(moved)); brokenAt(t, err) != 7 {
		t.Error(err)
	}
	if _, err := audit.VerifyTo(head, records(all[:15])); brokenAt(t, err) != 16 {
		t.Error(err)
	}
	// Sealed soundly, but behind another record, or at another place.
	for _, behind := range []audit.Head{{Sequence: 6, Hash: all[4].Hash}, {Sequence: 7, Hash: all[5].Hash}} {
		spliced := slices.Clone(all)
		spliced[6], _ = audit.Seal(behind, all[6].Draft)
		if _, err := audit.Verify(audit.Head{}, records(spliced)); brokenAt(t, err) != 7 {
			t.Errorf("a record sealed behind %d: %v", behind.Sequence, err)
		}
	}
	// Written anew from record 7 on, as who owns the disk could: only the
	// remembered head tells.
	anew := slices.Clone(all[:6])
	last := audit.Head{Sequence: 6, Hash: all[5].Hash}
	for _, r := range all[6:] {
		r.Detail = "nothing happened"
		var sealed audit.Record
		sealed, last = audit.Seal(last, r.Draft)
		anew = append(anew, sealed)
	}
	if _, err := audit.VerifyTo(head, records(anew)); brokenAt(t, err) != 20 {
		t.Error(err)
	}
}

func TestVerifyPassesReadErrorsOn(t *testing.T) {
	all, _ := build(3)
	unreadable := errors.New("unreadable")
	head, err := audit.Verify(audit.Head{}, func(yield func(audit.Record, error) bool) {
		_ = yield(all[0], nil) && yield(audit.Record{}, unreadable)
	})
	if !errors.Is(err, unreadable) || head.Sequence != 1 {
		t.Errorf("verify gives %v, %v", head, err)
	}
}

// No two drafts share a hash, wherever one text ends and the next begins.
func TestHashesDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ab\x00]{0,3}`)
		draw := func(name string) audit.Draft {
			return audit.Draft{Time: time.UnixMilli(rapid.Int64Range(0, 1).Draw(t, name)), Actor: text.Draw(t, name), Action: text.Draw(t, name),
				Object: text.Draw(t, name), Detail: text.Draw(t, name), Revision: rapid.Uint64Range(0, 1).Draw(t, name)}
		}
		a, b := draw("a"), draw("b")
		ra, _ := audit.Seal(audit.Head{}, a)
		rb, _ := audit.Seal(audit.Head{}, b)
		same := a.Time.Equal(b.Time) && a.Actor == b.Actor && a.Action == b.Action && a.Object == b.Object && a.Detail == b.Detail && a.Revision == b.Revision
		if (ra.Hash == rb.Hash) != same {
			t.Fatalf("%+v and %+v: equal hashes %t", a, b, ra.Hash == rb.Hash)
		}
	})
}

// The encoding is a promise: chains written today are verified in ten years.
func TestHashIsAPromise(t *testing.T) {
	all, _ := build(2)
	const want = "5399177a3b0951611665a4c085617b1cb34799434704b27548595bb67d43149e"
	if got := all[1].Hash.String(); got != want {
		t.Errorf("the hash of a known record is %s, want %s", got, want)
	}
}
