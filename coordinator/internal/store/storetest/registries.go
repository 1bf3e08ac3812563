package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/wire"
	"github.com/cordonmesh/cordon/coordinator/wire/key"
)

// serve starts a registry over j and ends it with the test.
func serve(t *testing.T, j registry.Journal, c registry.Config) *registry.Registry {
	t.Helper()
	r, err := registry.New(t.Context(), j, c)
	must(t, err)
	running, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("registry: %v", err)
		}
	})
	return r
}

// await wakes a registry and waits until it knows a revision.
func await(t *testing.T, r *registry.Registry, revision uint64) {
	t.Helper()
	limit := time.After(time.Minute)
	r.Wake()
	for {
		s, changed := r.Watch()
		if s.Revision >= revision {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("a registry stays at revision %d, want %d", s.Revision, revision)
		}
	}
}

func do(t *testing.T, r *registry.Registry, c registry.Command) registry.Result {
	t.Helper()
	result, err := r.Do(t.Context(), registry.System, c)
	must(t, err)
	return result
}

func tokenCommand(id string, uses uint32) registry.CreateToken {
	return registry.CreateToken{ID: id, Secret: registry.HashSecret(id), Kind: registry.EnrolToken, Tags: []string{"tag:test"}, Uses: uses}
}

// EnrolCommand makes the enrolment of a new machine with the token of a secret.
func EnrolCommand(secret, name string) registry.Enrol {
	node, tunnel, path := key.NewNode(), key.NewTunnel(), key.NewPath()
	return registry.Enrol{Secret: registry.HashSecret(secret), Key: node.Public(), Name: name,
		Statement: wire.SignStatement(&node, tunnel.Public(), path.Public(), 1), OS: "linux", Version: "1"}
}

func twoRegistries(t *testing.T, open func() registry.Journal) {
	a, b := serve(t, open(), registry.Config{}), serve(t, open(), registry.Config{})
	do(t, a, initCommand())
	const each = 10
	var wg sync.WaitGroup
	for i, r := range []*registry.Registry{a, b} {
		wg.Go(func() {
			for n := range each {
				if _, err := r.Do(t.Context(), registry.System, tokenCommand(fmt.Sprintf("t-%d-%d", i, n), 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, r := range []*registry.Registry{a, b} {
		await(t, r, 1+2*each)
		if n := len(r.Snapshot().Tokens()); n != 2*each {
			t.Errorf("a registry knows %d tokens, want %d", n, 2*each)
		}
	}
	if head, err := a.VerifyAudit(t.Context()); err != nil || head.Sequence != 1+2*each {
		t.Errorf("the audit ends at %d, %v", head.Sequence, err)
	}
}

func oneUse(t *testing.T, open func() registry.Journal) {
	const tries = 20
	a, b := serve(t, open(), registry.Config{}), serve(t, open(), registry.Config{})
	do(t, a, initCommand())
	do(t, a, tokenCommand("once", 1))
	await(t, b, 2)
	var wg sync.WaitGroup
	outcomes := make([]error, 2*tries)
	for i := range outcomes {
		wg.Go(func() {
			_, outcomes[i] = []*registry.Registry{a, b}[i%2].Do(t.Context(), registry.System, EnrolCommand("once", "host"))
		})
	}
	wg.Wait()
	admitted := 0
	for _, err := range outcomes {
		if err == nil {
			admitted++
		} else if !errors.Is(err, registry.ErrToken) {
			t.Errorf("refused with %v, want ErrToken", err)
		}
	}
	if admitted != 1 {
		t.Errorf("a token of one use admitted %d nodes", admitted)
	}
	if head, err := a.AuditHead(t.Context()); err != nil || head.Sequence != 2+2*tries {
		t.Errorf("the audit has %d records, want one each for init, token and %d tries, %v", head.Sequence, 2*tries, err)
	}
}

func readBack(t *testing.T, open func() registry.Journal) {
	r := serve(t, open(), registry.Config{CheckpointEvery: 7})
	do(t, r, initCommand())
	do(t, r, tokenCommand("many", 50))
	for i := range 20 {
		node := do(t, r, EnrolCommand("many", "host")).Node
		if i%3 == 0 {
			do(t, r, registry.RemoveNode{Node: node.ID})
		}
	}
	want, err := registry.EncodeState(r.Snapshot())
	must(t, err)
	again, err := registry.New(t.Context(), open(), registry.Config{})
	must(t, err)
	got, err := registry.EncodeState(again.Snapshot())
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("read back:\n%s\nwant:\n%s", got, want)
	}
}

func behindCheckpoint(t *testing.T, open func() registry.Journal) {
	j := open()
	a, late := serve(t, j, registry.Config{}), serve(t, open(), registry.Config{})
	do(t, a, initCommand())
	for i := range 4 {
		do(t, a, tokenCommand(fmt.Sprint("t-", i), 1))
		data, err := registry.EncodeState(a.Snapshot())
		must(t, err)
		must(t, j.Checkpoint(t.Context(), registry.Checkpoint{Revision: a.Snapshot().Revision, Data: data}))
	}
	do(t, late, tokenCommand("t-late", 1))
	if n := len(late.Snapshot().Tokens()); n != 5 {
		t.Errorf("the late registry knows %d tokens, want 5", n)
	}
	if _, ok := late.Since(1); ok {
		t.Error("the late registry claims to have every entry since revision 1")
	}
}
