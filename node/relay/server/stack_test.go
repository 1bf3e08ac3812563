package server_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/node/relay/relaytest"
	"github.com/cordonmesh/cordon/node/relay/server"
)

// stacks gives what all goroutines have for stacks, in bytes.
func stacks() float64 {
	for range 6 { // a stack loses half of its length at most each time
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.StackInuse)
}

// Proofs are verified on a stack of 8 KiB, which an idle client must not keep:
// among 10,000 it was a sixth of the relay's memory. Reading takes half of it.
func TestIdleClientKeepsNoDeepStack(t *testing.T) {
	const n, most = 300, deeper * 6 << 10
	m := relaytest.NewMesh()
	s := relaytest.New(t, server.Config{}, m)
	d := relaytest.Serve(t, s).Dialer()
	before := stacks()
	for range n {
		conn, _, err := welcomed(t.Context(), m, d)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	time.Sleep(50 * time.Millisecond) // the last of them come to rest
	if each := (stacks() - before) / n; each > most {
		t.Errorf("an idle client has %.0f bytes of stack, want at most %d", each, most)
	}
}
