//go:build race

package path_test

// racing: the race detector empties pools at random, so that allocations cannot
// be counted.
const racing = true
