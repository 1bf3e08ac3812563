package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestExplainedEnds(t *testing.T) {
	for _, c := range []struct{ src, dst, want string }{
		{"laptop", "ehr:443", "ehr 443"},
		{"laptop", "[fd00::1]:22", "fd00::1 22"},
		{"10.20.30.11@main", "10.20.30.12@main:104", "10.20.30.12@main 104"},
		{"laptop", "ehr", "want a destination such as ehr:443"},
		{"laptop", "fd00::1", "want a destination such as ehr:443"},
		{"laptop", "ehr:https", `port "https" is not allowed`},
		{"laptop", "ehr:70000", `port "70000" is not allowed`},
		{"laptop", "tag:ehr:443", "DST: \"tag:ehr\" stands for people or for many machines: name one node or address; `cordonctl policy reach --to tag:ehr`"},
		{"laptop", "tag:ehr", `DST: "tag:ehr" stands for`},
		{"laptop", "ada@clinic.example:443", `DST: "ada@clinic.example" stands for`},
		{"group:nurses", "ehr:443", `SRC: "group:nurses" stands for people or for many machines: name one node or address; a person sits there with --as WHO; `},
		{"ada@clinic.example", "ehr:443", `SRC: "ada@clinic.example" stands for`},
	} {
		host, port, err := explained(c.src, c.dst)
		got := host + " " + fmt.Sprint(port)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s %s: %s, want %s", c.src, c.dst, got, c.want)
		}
	}
}
