// Package lab builds small networks out of Linux network namespaces, described
// as data, and runs the built programs in them.
//
// A [Topology] names networks (layer-2 segments) and machines with addresses on
// them; [Up] makes each machine a namespace and gives a [Lab] whose hosts can
// run programs, dial, listen, inject raw packets and capture. The lab sees what
// an operator sees: programs, sockets, packets. It imports no inside of ours.
//
// Promises:
//
//   - A lab leaves nothing behind. Its end, also by a failed or panicking test,
//     kills its processes and deletes its namespaces; what a killed test process
//     left is swept by the next one that starts.
//   - A lab never touches the machine's own network: even the bridges live in a
//     namespace of the lab.
//   - A failed test leaves a drawing of who was connected to whom and the last
//     lines of every log.
//   - Without root nothing is quietly passed: [Require] names what was not run,
//     and with CI=true fails.
//
// An [Internet] has every kind of site that a clinic's machines join from, behind
// NATs and walls of the kernel's own ([NAT], [Wall]), and routers that open ports
// ([PortMaps]). Each kind of NAT is data that a test holds to RFC 4787, and
// [CanBeDirect] says which pairs of them could do without a relay. Loss, delay and
// reordering come from a seed ([Host.Impair]), partitions from [Host.Cut], other
// rules from nftables text per machine, and the resolver of most Linux machines
// from [Host.StartResolved]. Scenarios, with what they prove, live in the package
// above. CORDON_KEEP=1 leaves logs and state directories on disk.
package lab
