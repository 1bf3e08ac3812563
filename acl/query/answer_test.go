package query_test

import "github.com/cordonmesh/cordon/acl/query"

// answer is what all tests of this package put to the proof: one question in,
// one answer out, each a line of JSON.
func answer(line []byte) []byte { return query.Answer(line) }
