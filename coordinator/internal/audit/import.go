package audit

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"iter"
)

// Lines reads an export back, for Verify. It stops at the first line that is
// longer than MaxLine or no record, with an error that names the line.
func Lines(r io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s := bufio.NewScanner(r)
		s.Buffer(nil, MaxLine)
		n := 0
		for s.Scan() {
			n++
			var rec Record
			if err := json.Unmarshal(s.Bytes(), &rec); err != nil {
				yield(Record{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if !yield(rec, nil) {
				return
			}
		}
		if err := s.Err(); err != nil {
			yield(Record{}, fmt.Errorf("line %d: %w", n+1, err))
		}
	}
}
