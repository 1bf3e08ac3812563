// Package query answers questions about a policy, one line of JSON each.
package query
