//go:build linux

package main

import "github.com/cordonmesh/cordon/integration/lab"

// watch captures on every link of every machine between the nodes, and gives a
// function that fails if what the nodes told each other was there to be read.
func watch(m *lab.Mesh) func(lab.T) {
	captures := m.CaptureUnderlay(lab.Containing(lab.Marker))
	return func(t lab.T) {
		for _, c := range captures {
			packets, err := c.Stop()
			if err != nil {
				t.Errorf("%v", err)
			}
			if len(packets) > 0 {
				t.Errorf("%d inner packets in clear on %s, such as % x", len(packets), c.Where(), packets[0])
			}
		}
	}
}
