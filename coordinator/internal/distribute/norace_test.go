//go:build !race

package distribute_test

// histories is how many TestAnyHistory plays at most.
const histories = 1 << 30
