//go:build linux

package lab

import (
	"bytes"
	"encoding/binary"
	"os"
)

// linkTypeRaw says that a capture file's packets begin with their IP header.
const linkTypeRaw = 101

// Save stops the capture and writes its packets, without their times, into a
// file that packet analysers read (pcap, version 2.4).
func (c *Capture) Save(path string) error {
	packets, err := c.Stop()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	put := func(fields ...uint32) {
		for _, f := range fields {
			b.Write(binary.LittleEndian.AppendUint32(nil, f))
		}
	}
	put(0xa1b2c3d4, 4<<16|2, 0, 0, 1<<16, linkTypeRaw)
	for i, p := range packets {
		put(uint32(i/1e6), uint32(i%1e6), uint32(len(p)), uint32(len(p)))
		b.Write(p)
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
