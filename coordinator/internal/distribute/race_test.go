//go:build race

package distribute_test

// histories is how many TestAnyHistory plays under the race detector, which makes
// one twenty times as long: what it finds shows in a few.
const histories = 8
