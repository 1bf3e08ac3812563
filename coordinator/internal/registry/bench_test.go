package registry_test

import (
	"fmt"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
)

// large gives a mesh of n nodes.
func large(b *testing.B, n int) *mesh {
	m := begin(b)
	m.token("t", registry.CreateToken{Uses: 100_000, Tags: []string{"tag:x"}})
	for i := range n {
		m.do(newMachine().enrol("t", fmt.Sprint("host-", i)))
	}
	return m
}

func BenchmarkApplyAt10000(b *testing.B) {
	m := large(b, 10_000)
	n := *m.node("host-5000")
	e := registry.Entry{Revision: m.state.Revision + 1, Event: registry.NodeChanged{Node: n}}
	b.ReportAllocs()
	for b.Loop() {
		registry.Apply(m.state, e)
	}
}

func BenchmarkEnrolAt10000(b *testing.B) {
	m := large(b, 10_000)
	c := newMachine().enrol("t", "host-5000")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.decider.Decide(m.state, c, ana, m.now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckpointAt10000(b *testing.B) {
	m := large(b, 10_000)
	for b.Loop() {
		text, err := registry.EncodeState(m.state)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(text)), "bytes")
	}
}

func BenchmarkLoadAt10000(b *testing.B) {
	m := large(b, 10_000)
	text := []byte(m.encoded())
	for b.Loop() {
		if _, err := registry.DecodeState(text); err != nil {
			b.Fatal(err)
		}
	}
}
