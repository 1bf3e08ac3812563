//go:build !race

package path_test

// seeds gives how many of n seeds to run: all.
func seeds(n uint64) uint64 { return n }
