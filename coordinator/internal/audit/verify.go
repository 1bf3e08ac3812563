package audit

import (
	"fmt"
	"iter"
)

// BrokenError says where a chain first does not fit.
type BrokenError struct {
	Sequence uint64 // of the first bad record: the sequence that should stand there
	Why      string
}

// Error tells where the chain breaks and what to do.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("audit chain is broken at record %d: %s; records before it are as they were written: "+
		"compare with the last export, and treat the coordinator's disk as tampered with", e.Sequence, e.Why)
}

// Verify walks records, which follow after (the zero Head: from the first), and
// returns the head that they end at. A record that does not fit gives a
// *BrokenError and the head before it; an error of the iterator is passed on.
func Verify(after Head, records iter.Seq2[Record, error]) (Head, error) {
	head := after
	for r, err := range records {
		if err != nil {
			return head, fmt.Errorf("reading audit record %d: %w", head.Sequence+1, err)
		}
		if why := r.misfit(head); why != "" {
			return head, &BrokenError{Sequence: head.Sequence + 1, Why: why}
		}
		head = Head{Sequence: r.Sequence, Hash: r.Hash}
	}
	return head, nil
}

// VerifyTo is Verify, and the chain must also end at want, the head that the
// writer remembers: a tail that was cut off is found by it.
func VerifyTo(want Head, records iter.Seq2[Record, error]) (Head, error) {
	head, err := Verify(Head{}, records)
	if err != nil {
		return head, err
	}
	if head.Sequence < want.Sequence {
		return head, &BrokenError{Sequence: head.Sequence + 1,
			Why: fmt.Sprintf("missing, and so is all up to %d", want.Sequence)}
	}
	if head != want {
		return head, &BrokenError{Sequence: head.Sequence, Why: "the remembered head is another one"}
	}
	return head, nil
}

// misfit says why r can't follow head, or nothing.
func (r Record) misfit(head Head) string {
	switch {
	case r.Sequence != head.Sequence+1:
		return fmt.Sprintf("found record %d in its place", r.Sequence)
	case r.Previous != head.Hash:
		return "it does not name the hash of the record before it"
	case r.Hash != r.sum():
		return "its content does not give its hash"
	}
	return ""
}
