package server

import (
	"net/netip"

	"github.com/pion/stun/v3"
)

// AnswerSTUN gives what b is answered with, nil for nothing.
func AnswerSTUN(b []byte, from netip.AddrPort) []byte {
	request, out := new(stun.Message), new(stun.Message)
	if !plainRequest(request, b) || answer(out, request, from) != nil {
		return nil
	}
	return out.Raw
}
