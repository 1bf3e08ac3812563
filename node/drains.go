package node

import "encoding/json"

// What drains goes on when the daemon is started anew, as by an upgrade, or its interface
// died: the next plane has it from the one before, or from the disk. It is kept at an
// orderly end alone: a crash cuts it off, and nothing is written while packets pass.

// loadDrains takes what drained at the end of the last run from the disk.
func (m *mesh) loadDrains() {
	kept, err := m.node.dir.TakeDrains()
	if err == nil && kept != nil {
		err = json.Unmarshal(kept, &m.drains)
	}
	if err != nil {
		m.log.Warn("what drained before this start cannot be read, and is cut off", "error", err)
		m.drains = nil
	}
}

// keepDrains notes on the disk what drains, unless the mesh's user has taken it down.
func (m *mesh) keepDrains() {
	if len(m.drains) == 0 || m.down.Load() {
		return
	}
	kept, err := json.Marshal(m.drains)
	if err == nil {
		err = m.node.dir.SaveDrains(kept)
	}
	if err != nil {
		m.log.Warn("noting on disk what drains failed: a start cuts it off", "flows", len(m.drains), "error", err)
	}
}
