//go:build !race

package path_test

const racing = false
