package packet

import (
	"encoding/binary"

	"github.com/cordonmesh/cordon/acl"
)

// AppendNudge appends to dst a TCP segment of the flow that makes the receiving
// stack speak: an empty ACK far from where its window can be, which must be
// answered by an ACK (RFC 9293, section 3.10.7.4). To a connection that lost its
// right, that answer is refused, and the refusal's reset has the one sequence
// number that the stack believes. It returns dst as it was, and false, if the
// flow is no TCP connection between two single addresses of one family.
func AppendNudge(dst []byte, f *Flow) ([]byte, bool) {
	if f.Proto != acl.TCP || f.Shape != Ports || f.Src.Is4() != f.Dst.Is4() || !f.Src.single() || !f.Dst.single() {
		return dst, false
	}
	dst, at := appendFlowHeader(dst, f, headerTCP)
	segment := [headerTCP]byte{12: headerTCP / 4 << 4, 13: byte(ACK), 14: 0xff, 15: 0xff}
	binary.BigEndian.PutUint16(segment[0:], f.SrcPort)
	binary.BigEndian.PutUint16(segment[2:], f.DstPort)
	dst = append(dst, segment[:]...)
	src, to := f.Src.IP().AsSlice(), f.Dst.IP().AsSlice()
	pseudo := sum(to, sum(src, uint32(acl.TCP)+headerTCP))
	binary.BigEndian.PutUint16(dst[at+16:], checksum(dst[at:], pseudo))
	return dst, true
}

// appendFlowHeader appends the IP header of a packet of a flow with size bytes
// after it, and gives the offset at which those begin.
func appendFlowHeader(dst []byte, f *Flow, size int) ([]byte, int) {
	at := len(dst)
	if f.Src.Is4() {
		src, to := f.Src.IP().As4(), f.Dst.IP().As4()
		dst = append(dst, 0x45, 0)
		dst = binary.BigEndian.AppendUint16(dst, uint16(header4+size))
		dst = append(dst, 0, 0, 0x40, 0, answerTTL, byte(f.Proto), 0, 0) // don't fragment
		dst = append(append(dst, src[:]...), to[:]...)
		binary.BigEndian.PutUint16(dst[at+10:], checksum(dst[at:], 0))
		return dst, at + header4
	}
	src, to := f.Src.IP().As16(), f.Dst.IP().As16()
	dst = append(dst, 0x60, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(size))
	dst = append(dst, byte(f.Proto), answerTTL)
	return append(append(dst, src[:]...), to[:]...), at + header6
}
