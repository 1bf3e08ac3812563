//go:build !race

package server_test

// deeper is how much longer stacks are under the race detector.
const deeper = 1
