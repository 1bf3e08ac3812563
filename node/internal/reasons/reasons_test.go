package reasons_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/reasons"
)

func TestReasonsAreOneLine(t *testing.T) {
	lookup := &net.DNSError{Err: "no answer", Name: "relay.example"}
	err := reasons.Join(nil, lookup, errors.New("connection refused"), context.Canceled, errors.New("connection refused"))
	if want := "lookup relay.example: no answer; connection refused; context canceled"; err == nil || err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	var found *net.DNSError
	if !errors.As(err, &found) || !errors.Is(err, context.Canceled) {
		t.Error("what it was made of is lost")
	}
	if err := reasons.Join(nil, nil); err != nil {
		t.Errorf("of nothing comes %v", err)
	}
}
