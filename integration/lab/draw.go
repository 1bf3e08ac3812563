//go:build linux

package lab

import (
	"fmt"
	"strings"
)

// logLines is how much of each log a failed test prints.
const logLines = 40

// Draw gives a picture of the lab: each network with the machines on it, what
// runs where, what the reporters know of the mesh, and the end of every log.
func (l *Lab) Draw() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the lab of %s\n", l.t.Name())
	for _, n := range l.top.Networks {
		l.drawNetwork(&b, n)
	}
	l.mu.Lock()
	processes, reporters := l.processes, l.reporters
	l.mu.Unlock()
	for _, p := range processes {
		fmt.Fprintf(&b, "  on %s: %s, %s\n", p.Host.Name, p.Name, p.state())
	}
	for _, report := range reporters {
		b.WriteString(indent(report(), "  "))
	}
	for _, p := range processes {
		fmt.Fprintf(&b, "---- %s on %s, last lines ----\n%s", p.Name, p.Host.Name, indent(tail(p.Log(), logLines), "  | "))
	}
	return b.String()
}

func (l *Lab) drawNetwork(b *strings.Builder, n Network) {
	fmt.Fprintf(b, "  [%s]\n", n.Name)
	for _, m := range l.top.Machines {
		for i, link := range m.Links {
			if link.Network != n.Name {
				continue
			}
			kind := ""
			if m.Forward {
				kind = " (router)"
			}
			fmt.Fprintf(b, "    +-- %s%s %s %s\n", m.Name, kind, ethName(i), strings.Join(link.Addresses, " "))
		}
	}
}

func indent(s, with string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(with + strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}
