package integration

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// tele lets nina reach the record system while she is on duty. The remark makes
// another edit of the same.
func tele(remark, more string) string {
	return `{"tagOwners": {"tag:ehr": ["nina@hospital.example"]}, "oncall": {"icu": {"ics": "icu.ics"}}, "grants": [
  {"id": "tele", "src": ["nina@hospital.example"], "dst": ["tag:ehr"], "ip": ["tcp:443", "udp:5000"], "when": {"oncall": "icu"}},
]` + more + `} // ` + remark + "\n"
}

// roster puts somebody on duty for the hours around now, by the coordinator's file.
func (s *scene) roster(t *testing.T, who string) {
	t.Helper()
	dir := filepath.Join(s.coordinator.State, "rosters")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//h//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20261101T000000Z\r\n"+
		"DTSTART:%s\r\nDURATION:PT8H\r\nATTENDEE:mailto:%s\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n", time.Now().UTC().Add(-time.Hour).Format("20060102T150405Z"), who)
	if err := os.WriteFile(filepath.Join(dir, "icu.ics"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A31: a person who is relieved, and an edit that forbids, end what is open; who is
// on duty again may begin again.
func TestReliefAndForbidEndLiveFlows_A31(t *testing.T) {
	s := raise(t, clinic, member{name: "ward", owner: "nina@hospital.example"}, member{name: "ehr", owner: "tag:ehr"})
	if s == nil {
		return
	}
	to := []netip.Addr{s.at("ehr", 0)[0].Addr(), s.at("ehr", 0)[1].Addr()}
	begin := func(t *testing.T) *streams {
		s.answered("ward", to[0]) // the roster is looked at beside the edit
		return startStreams(t, s.Host("ward"), s.Host("ehr"), to...)
	}
	s.roster(t, "nina@hospital.example")
	s.setPolicy(tele("nina is on duty", ""))
	t.Run("relieved", func(t *testing.T) {
		f := begin(t)
		s.roster(t, "ben@hospital.example")
		f.ended(t, s.setPolicy(tele("ben is on duty", "")))
		f.told(t, true, true)
	})
	s.roster(t, "nina@hospital.example")
	s.setPolicy(tele("nina is on duty again", ""))
	t.Run("forbidden", func(t *testing.T) {
		f := begin(t)
		f.ended(t, s.setPolicy(tele("", `, "forbid": [{"id": "quarantine", "src": ["*"], "dst": ["tag:ehr"], "ip": ["*"]}]`)))
		f.told(t, true, true)
	})
}
