// Package integration holds what is true of the whole tree or of the built
// programs, and of no package alone.
//
// The layout tests read the source: which package may import which and why,
// sizes, package comments, what is global, and that go.mod holds what
// docs/ARCHITECTURE.md explains. The scenarios run the built programs in the
// network namespaces of package lab and see what an operator sees: they use the
// doors coordinator/admin and node/local, never the inside.
package integration
