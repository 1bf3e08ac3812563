package coordinator_test

import (
	"strings"
	"testing"
	"time"
)

// A stranger guesses at a machine that many use until it waits. Who signs in there with a
// browser of their own does not wait, and with that machine's does, minutes at most.
func TestStrangerAtAMachineMakesNoOwnBrowserWait_A22(t *testing.T) {
	at := &clock{now: time.Now()}
	r := begin(t, ownPeople(at))
	_, secret := r.token(enrolToken())
	m, own, its := r.enrol(secret), r.browser(at), r.browser(at)
	own.setUp(r.addAna().Link)
	its.secret = own.secret
	at.forward(time.Minute)
	if own.signIn(m, own.code()) == nil {
		t.Fatalf("the person cannot sign in:\n%s", own.page)
	}
	for range 12 {
		at.forward(time.Minute)
		if its.signIn(m, "000000") != nil {
			t.Fatal("a wrong code signs in")
		}
	}
	if its.signIn(m, its.code()) != nil || !strings.Contains(its.page, "wait") {
		t.Errorf("in the machine's browser nobody waits for a stranger's guesses:\n%s", its.page)
	}
	if own.signIn(m, own.code()) == nil {
		t.Errorf("in a browser of their own the person waits for a stranger:\n%s", own.page)
	}
	at.forward(5 * time.Minute)
	if its.signIn(m, its.code()) == nil {
		t.Errorf("after five minutes the person still waits:\n%s", its.page)
	}
}
