package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"time"
)

// MaxLine bounds one line of an export, in bytes.
const MaxLine = 1 << 20

// line is a Record as JSON Lines has it. Field names are a promise to those who
// collect exports.
type line struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"`
	Action   string    `json:"action"`
	Object   string    `json:"object"`
	Detail   string    `json:"detail,omitempty"`
	Revision uint64    `json:"revision"`
	Previous Hash      `json:"previous"`
	Hash     Hash      `json:"hash"`
}

// MarshalJSON gives one object with flat, lower-case fields.
func (r Record) MarshalJSON() ([]byte, error) {
	return json.Marshal(line{r.Sequence, r.Time, r.Actor, r.Action, r.Object, r.Detail, r.Revision, r.Previous, r.Hash})
}

// UnmarshalJSON reads what MarshalJSON wrote; unknown fields are refused.
func (r *Record) UnmarshalJSON(b []byte) error {
	var l line
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return fmt.Errorf("audit record: %w", err)
	}
	*r = Record{l.Sequence, Draft{l.Time, l.Actor, l.Action, l.Object, l.Detail, l.Revision}, l.Previous, l.Hash}
	return nil
}

// Export writes records as JSON Lines.
func Export(w io.Writer, records iter.Seq2[Record, error]) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for r, err := range records {
		if err != nil {
			return fmt.Errorf("exporting the audit: %w", err)
		}
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("exporting audit record %d: %w", r.Sequence, err)
		}
	}
	return nil
}
