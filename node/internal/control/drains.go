package control

import "os"

const drainsFile = "drains.json"

// SaveDrains keeps for the next run what drains at the end of this one.
func (d *Dir) SaveDrains(kept []byte) error { return d.write(drainsFile, kept) }

// TakeDrains gives what SaveDrains kept, once: what cannot be taken away is not given,
// or a later run would have back what ended in this one. It gives nil if there is none.
func (d *Dir) TakeDrains() ([]byte, error) {
	kept, err := d.read(drainsFile)
	if err != nil || kept == nil {
		return nil, err
	}
	if err := os.Remove(d.file(drainsFile)); err != nil {
		return nil, err
	}
	return kept, syncDir(d.path)
}
