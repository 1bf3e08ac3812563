package policy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Capability is what an application on the destination lets the source do.
type Capability struct {
	Name   string   // domain/path
	Values []string // compact JSON each, in the file's order; perhaps none
}

// maxApp is how many bytes the values of one grant may have: every source and
// every destination of it is sent them.
const maxApp = 64 << 10

// capabilities reads {"domain/path": [value, ...]}.
func (r *ruleReader) capabilities(m member) []Capability {
	if m.value == nil {
		return nil
	}
	var all []Capability
	size := 0
	for _, c := range r.members(m.value, `"app"`) {
		if bad := checkCapability(c.key); bad != nil {
			r.failAt(c.at, "app", c.key, bad)
			continue
		}
		capability := Capability{Name: c.key}
		elements := r.elements(c.value, c.key)
		for i := range elements {
			if size > maxApp {
				break
			}
			text := string(appendCompact(nil, &elements[i]))
			size += len(text)
			capability.Values = append(capability.Values, text)
		}
		all = append(all, capability)
	}
	if size > maxApp {
		r.fail(m.at, "app", complain(fmt.Sprintf("its values have more than %d bytes, the limit of one grant", maxApp), "keep large settings with the application"))
	}
	slices.SortFunc(all, func(a, b Capability) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// checkCapability checks a capability's name. Those of the domain that stock
// clients obey by themselves are few, and the rest of it is not for policies.
func checkCapability(name string) *complaint {
	domain, path, _ := strings.Cut(name, "/")
	switch {
	case domain == "" || path == "" || strings.Contains(name, "://") || len(name) > maxName || !printable(name):
		return complain("capability name must have the form {domain}/{path}", "write it without a scheme, as example.com/cap/reports")
	case !strings.EqualFold(domain, "tailscale.com"):
		return nil
	}
	switch name {
	case "tailscale.com/cap/drive", "tailscale.com/cap/relay", "tailscale.com/cap/webui", "tailscale.com/cap/kubernetes",
		"tailscale.com/cap/golink", "tailscale.com/cap/secrets", "tailscale.com/cap/tsidp", "tailscale.com/cap/tailsql", "tailscale.com/cap/aperture":
		return nil
	}
	return complain("capability name must not be in the tailscale.com domain",
		"use a domain of your own; of that one, drive, relay, webui, kubernetes, golink, secrets, tsidp, tailsql and aperture under cap/ are known")
}

// rawValues gives capabilities as the canonical text holds them.
func rawValues(all []Capability) map[string][]json.RawMessage {
	if len(all) == 0 {
		return nil
	}
	raw := make(map[string][]json.RawMessage, len(all))
	for _, c := range all {
		values := make([]json.RawMessage, len(c.Values))
		for i, v := range c.Values {
			values[i] = json.RawMessage(v)
		}
		raw[c.Name] = values
	}
	return raw
}
