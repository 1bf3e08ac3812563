package osnet

import (
	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/tun"
)

// batch is how many packets the TUN gives at a time. A WireGuard engine keeps a
// buffer of 64 KiB for each, and tun.NativeTun would have it keep twice as many.
// With our MTUs the largest packet of TCP's offload has fewer segments than this.
const batch = 64

// batched is a TUN that gives fewer packets at a time than tun.NativeTun can.
type batched struct{ tun.Device }

// BatchSize is the most that one Read gives.
func (b batched) BatchSize() int { return min(batch, b.Device.BatchSize()) }

// inBatches has the kernel hand over no packet of more segments than fit into one
// Read, which would lose those beyond: where somebody asked for small segments, 64
// KiB are many of them. A kernel that cannot be told (before 4.16) keeps the device
// as it is.
func (n *Network) inBatches(dev tun.Device, link netlink.Link) tun.Device {
	if n.nl.LinkSetGSOMaxSegs(link, batch) != nil {
		return dev
	}
	return batched{dev}
}
