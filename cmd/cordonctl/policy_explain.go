package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/cordonmesh/cordon/cmd/internal/usage"
)

// explained gives the host and the port of DST:PORT, or what to write in place of SRC
// or DST. Names of segments and ipsets are what a policy has, and the natural thing to
// try.
func explained(src, dst string) (host string, port uint16, err error) {
	if err := single("SRC", src, "--from", "; a person sits there with --as WHO"); err != nil {
		return "", 0, err
	}
	name := dst
	if i := strings.LastIndexByte(dst, ':'); i >= 0 && strings.Trim(dst[i+1:], "0123456789") == "" {
		name = dst[:i]
	}
	if err := single("DST", name, "--to", ""); err != nil {
		return "", 0, err
	}
	host, digits, err := splitPort(dst)
	if err != nil {
		return "", 0, fmt.Errorf("DST:PORT: %q is not allowed: want a destination such as ehr:443 or [fd00::1]:443", dst)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("DST:PORT: port %q is not allowed: want 0 to 65535", digits)
	}
	return host, uint16(n), nil
}

// splitPort is net.SplitHostPort that knows tag:NAME:PORT and its like.
func splitPort(dst string) (host, port string, err error) {
	kind, name, _ := strings.Cut(dst, ":")
	if kind == "tag" || kind == "group" || kind == "autogroup" {
		host, port, err = net.SplitHostPort(name)
		return kind + ":" + host, port, err
	}
	return net.SplitHostPort(dst)
}

// momentOf reads a time of RFC 3339, whose seconds may be left out. It needs its offset:
// where an admin sits and where the coordinator stands may be hours apart.
func momentOf(text string) (at time.Time, err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if at, err = time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return at, usage.Bad("at", text, "a time with its offset, such as 2026-11-22T03:00-06:00 or 2026-11-22T09:00:00Z")
}

// single refuses a name of addresses, and tells of the command that takes one.
func single(what, name, flag, more string) error {
	for _, prefix := range []string{"seg:", "ipset:", "user:"} {
		if strings.HasPrefix(name, prefix) {
			return fmt.Errorf("%s: %q stands for people or for many machines: name a node, address, login, group or tag%s; `cordonctl policy reach %s %s` takes such names", what, name, more, flag, name)
		}
	}
	return nil
}
