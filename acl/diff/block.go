package diff

// block is 64 rows of 64 bits.
type block [64]uint64

// fewInBlock is of how many bits it takes less to move each by itself.
const fewInBlock = 64

// transpose makes each column a row: it swaps two quarters of the block, then of each
// quarter, and so on.
func (b *block) transpose() {
	low := ^uint64(0)
	for size := 32; size > 0; size /= 2 {
		low ^= low << size // of each 2*size bits the lower half
		for row := 0; row < 64; row++ {
			if row&size == 0 {
				swap := (b[row]>>size ^ b[row+size]) & low
				b[row] ^= swap << size
				b[row+size] ^= swap
			}
		}
	}
}
