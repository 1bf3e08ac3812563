package osnet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"
)

// defaultRoutes gives those of the IPv4 table. A route is as near as its own metric
// and its interface's together say.
func defaultRoutes() (list []defaultRoute, err error) {
	var table *windows.MibIpForwardTable2
	if err := windows.GetIpForwardTable2(windows.AF_INET, &table); err != nil {
		return nil, fmt.Errorf("osnet: list the routing table: %w", err)
	}
	defer windows.FreeMibTable(unsafe.Pointer(table))
	for _, r := range table.Rows() {
		var gateway [4]byte // in memory as on the wire, behind family and port
		binary.NativeEndian.PutUint32(gateway[:], r.NextHop.Data[0])
		if r.DestinationPrefix.PrefixLength != 0 || r.NextHop.Family != windows.AF_INET || gateway == [4]byte{} {
			continue
		}
		link := windows.MibIpInterfaceRow{Family: windows.AF_INET, InterfaceLuid: r.InterfaceLuid}
		if windows.GetIpInterfaceEntry(&link) != nil {
			continue // it went while we looked
		}
		list = append(list, defaultRoute{netip.AddrFrom4(gateway), int(r.InterfaceIndex), int(r.Metric + link.Metric)})
	}
	return list, nil
}
