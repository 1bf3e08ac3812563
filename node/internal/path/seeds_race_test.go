//go:build race

package path_test

// seeds gives few of n: under the race detector all of them take five minutes,
// and the simulated internet is one goroutine. They all run without it.
func seeds(n uint64) uint64 { return (n + 39) / 40 }
