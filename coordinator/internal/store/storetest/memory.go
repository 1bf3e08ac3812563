package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cordonmesh/cordon/coordinator/internal/audit"
	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// Memory is a journal without a disk, for tests of those who need a registry. It
// keeps bytes, as a real one does. Several registries may share one.
type Memory struct {
	mu         sync.Mutex
	first      uint64 // revision of entries[0]
	entries    [][]byte
	checkpoint registry.Checkpoint
	records    []audit.Record
	head       audit.Head
	fail       error
	appends    int
}

var _ registry.Journal = (*Memory)(nil)

// NewMemory gives an empty journal.
func NewMemory() *Memory { return &Memory{first: 1} }

// Fail lets every write fail with err, until it is told nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// Appends counts the transactions so far.
func (m *Memory) Appends() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.appends
}

func (m *Memory) revision() uint64 { return m.first + uint64(len(m.entries)) - 1 }

// Load fulfils registry.Journal.
func (m *Memory) Load(context.Context) (registry.Checkpoint, []registry.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries, err := m.after(m.checkpoint.Revision)
	return m.checkpoint, entries, err
}

// Append fulfils registry.Journal.
func (m *Memory) Append(ctx context.Context, expected uint64, entries []registry.Entry, records []audit.Draft) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.fail != nil {
		return m.fail
	}
	if m.revision() != expected {
		return fmt.Errorf("%w: it is at revision %d, not %d", registry.ErrConflict, m.revision(), expected)
	}
	fresh, err := encode(expected, entries)
	if err != nil {
		return err
	}
	m.appends++
	m.entries = append(m.entries, fresh...)
	for _, d := range records {
		var r audit.Record
		r, m.head = audit.Seal(m.head, d)
		m.records = append(m.records, r)
	}
	return nil
}

func encode(expected uint64, entries []registry.Entry) (out [][]byte, err error) {
	for i, e := range entries {
		if e.Revision != expected+1+uint64(i) {
			return nil, fmt.Errorf("entry %d does not follow revision %d", e.Revision, expected+uint64(i))
		}
		b, err := registry.EncodeEntry(e)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// Tail fulfils registry.Journal.
func (m *Memory) Tail(_ context.Context, since uint64) ([]registry.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.after(since)
}

func (m *Memory) after(since uint64) (out []registry.Entry, err error) {
	if since+1 < m.first {
		return nil, fmt.Errorf("%w: entry %d is the first after %d", registry.ErrPruned, m.first, since)
	}
	for revision := since + 1; revision <= m.revision(); revision++ {
		e, err := registry.DecodeEntry(revision, m.entries[revision-m.first])
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Checkpoint fulfils registry.Journal.
func (m *Memory) Checkpoint(_ context.Context, c registry.Checkpoint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if c.Revision > m.revision() {
		return fmt.Errorf("checkpoint %d of a journal at revision %d", c.Revision, m.revision())
	}
	if c.Revision <= m.checkpoint.Revision {
		return nil
	}
	gone := m.checkpoint.Revision + 1 - m.first
	m.entries, m.first = m.entries[gone:], m.first+gone
	m.checkpoint = registry.Checkpoint{Revision: c.Revision, Data: slices.Clone(c.Data)}
	return nil
}

// AuditHead fulfils registry.Journal.
func (m *Memory) AuditHead(context.Context) (audit.Head, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, nil
}

// AuditRange fulfils registry.Journal.
func (m *Memory) AuditRange(_ context.Context, after uint64, limit int) ([]audit.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	start := min(after, uint64(len(m.records)))
	end := min(start+uint64(max(0, limit)), uint64(len(m.records)))
	return slices.Clone(m.records[start:end]), nil
}
