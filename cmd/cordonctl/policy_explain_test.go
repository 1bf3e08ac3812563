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
		{"laptop", "tag:ehr:443", "tag:ehr 443"},
		{"laptop", "tag:ehr", "want a destination such as ehr:443"},
		{"laptop", "ada@clinic.example:443", "ada@clinic.example 443"},
		{"group:nurses", "ehr:443", "ehr 443"},
		{"ada@clinic.example", "autogroup:tagged:443", "autogroup:tagged 443"},
		{"laptop", "seg:ehr:443", "DST: \"seg:ehr\" stands for people or for many machines: name a node, address, login, group or tag; `cordonctl policy reach --to seg:ehr`"},
		{"ipset:imaging", "ehr:443", `SRC: "ipset:imaging" stands for`},
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

func TestMoments(t *testing.T) {
	for text, want := range map[string]int64{
		"2026-11-23T14:00+01:00": 1795438800, "2026-11-23T14:00:00+01:00": 1795438800, "2026-11-23T13:00Z": 1795438800, "2026-11-23T13:00:00.5Z": 1795438800,
		"2026-11-23T13:00": 0, "2026-11-23 13:00Z": 0, "2026-11-23": 0, "noon": 0,
	} {
		at, err := momentOf(text)
		if want == 0 && (err == nil || !strings.Contains(err.Error(), "with its offset")) || want != 0 && (err != nil || at.Unix() != want) {
			t.Errorf("%s: %v (%d), %v", text, at, at.Unix(), err)
		}
	}
}
