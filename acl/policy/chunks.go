package policy

// chunks cuts short lists out of long ones: a file comes to thousands of them, and one
// made by itself costs more than what it holds.
type chunks[T any] struct {
	spare []T
	size  int // of the last chunk
}

// list gives an empty list with room for n. Whoever puts more into it moves out, and
// never into the next one.
func (c *chunks[T]) list(n int) []T {
	const few, many = 16, 256
	if n > len(c.spare) {
		c.size = min(max(2*c.size, few), many)
		c.spare = make([]T, max(c.size, n))
	}
	list := c.spare[:0:n]
	c.spare = c.spare[n:]
	return list
}
