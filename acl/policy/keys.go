package policy

import (
	"slices"
	"strings"
)

// status is what we do with a key of the language.
type status uint8

const (
	read    status = iota + 1
	ignored        // loads with a warning: it opens nothing here, and narrows nothing
	refused        // not obeyed yet, and taking it for absent could widen a rule
)

// keys are the keys that one kind of object may hold.
type keys map[string]status

func topKeys() keys {
	return keys{
		"groups": read, "tagOwners": read, "hosts": read, "acls": read, "grants": read, "autoApprovers": read, "tests": read,
		"postures": read, "defaultSrcPosture": read,

		"ssh": read, "sshTests": read, "nodeAttrs": read, "ipsets": read,

		"derpMap": ignored, "randomizeClientPort": ignored, "disableIPv4": ignored, "OneCGNATRoute": ignored,
		"extraDNSRecords": ignored, "magicDNS": ignored,

		"forbid": read, "segments": read, "services": read, "sites": read, "assets": read, "schedules": read, "oncall": read,
		"approvals": read, "breakGlass": read, "lockdown": read,
	}
}

func grantKeys() keys {
	return keys{
		"id": read, "src": read, "dst": read, "ip": read, "app": read, "via": read, "srcPosture": read,
		"srcDevice": read, "when": read, "approval": read, "through": read,
		"limit": read, "log": read, "recordFailure": read, "onExpiry": read, "monitor": read, "until": read,
	}
}

func aclKeys() keys {
	return keys{"id": read, "action": read, "src": read, "dst": read, "proto": read, "srcPosture": read,
		"users": read, "ports": read, // the dialect's old names for src and dst
		notes: ignored}
}

// notes stands for all keys that begin with it: by such ones programs that edit a policy
// for headscale, which reads past them, keep to an acl what they know of it.
const notes = "#"

func sshKeys() keys {
	return keys{"action": read, "src": read, "dst": read, "users": read, "checkPeriod": read, "acceptEnv": read, "srcPosture": read,
		"recorder": ignored, "enforceRecorder": ignored}
}

func sshTestKeys() keys {
	return keys{"src": read, "dst": read, "accept": read, "check": read, "deny": read, "srcPostureAttrs": read}
}

func attrKeys() keys {
	return keys{"target": read, "attr": read, "ipPool": read, "app": ignored}
}

func testKeys() keys {
	return keys{"src": read, "proto": read, "accept": read, "deny": read,
		"user": read, "allow": read, // the dialect's old names for src and accept
		"srcPostureAttrs": read, "name": read, "given": read, "expect": read}
}

func approverKeys() keys {
	return keys{"routes": read, "exitNode": read, "services": ignored}
}

func siteKeys() keys { return allRead("id nets") }

func assetKeys() keys { return allRead("tag behind match bind isolate") }

func matchKeys() keys { return allRead("ipset dhcp vlan oui") }

func segmentKeys() keys {
	return allRead("members class impact owner requires offline log mode until inTransit")
}

func offlineKeys() keys { return allRead("hold lapse") }

func whenKeys() keys { return allRead("mfa posture schedule oncall risk session idle") }

func mfaKeys() keys { return allRead("within amr acr") }

func limitKeys() keys { return allRead("bytes flows onExceed") }

func approvalKeys() keys {
	return allRead("by count notRequester maxDuration ticket onExpiry")
}

func scheduleKeys() keys { return allRead("tz weekly") }

func onCallKeys() keys { return allRead("ics") }

func forbidKeys() keys { return allRead("id src dst ip when srcPosture") }

func lockdownKeys() keys { return allRead("by count forbid") }

func glassKeys() keys {
	return allRead("id src srcDevice dst ip log segments declare waives reason maxDuration cooldown alert review offline")
}

func declareKeys() keys { return allRead("by count") }

func reviewKeys() keys { return allRead("by within") }

func givenKeys() keys {
	return allRead("at device session idle mfaAge amr acr managed postures attrs risk oncall approvedBy breakGlass lockdown")
}

func expectKeys() keys { return allRead("log alert maxDuration rule") }

func allRead(names string) keys {
	all := make(keys)
	for _, name := range strings.Fields(names) {
		all[name] = read
	}
	return all
}

// keyed sorts the members of an object of ours by key. The dialect's own
// reader does not tell "ACLs" from "acls", so neither do we; two spellings of
// one key are refused like any key that stands twice.
func (r *reader) keyed(v *value, what string, known func() keys) object {
	table := r.keyTable(what, known)
	if !v.isObject() && !v.isNull() {
		r.fail(v.at, v.shown(), complainWhole(what+" must be an object", takes(table.status)))
		return nil
	}
	all := r.members(v, what)
	found, meant := object(all[:0]), object(nil)
	for _, m := range all {
		key, ok := table.find(m.key)
		if !ok {
			var bad *complaint
			if m.name, bad = r.unknown(m.key, what, table); m.name != "" {
				meant = append(meant, m)
			}
			r.fail(m.at, m.key, bad)
			continue
		}
		m.name = key.name
		if first, twice := found.get(m.name); twice {
			r.fail(m.at, m.key, complain("stands twice in "+what+", in another letter case, first in "+r.where(first.at), "keep one of them"))
			first.value.join(m.value) // so that what is wrong there is told too
			continue
		}
		switch key.status {
		case read:
			found = append(found, m)
		case refused:
			if !m.value.isEmpty() {
				r.fail(m.at, m.key, notYet("this key of "+what+" is"))
			}
		case ignored:
			if !m.value.isEmpty() {
				r.warn(m.at, m.key, "has no effect here; nothing is opened or closed by it")
			}
		}
	}
	for _, m := range slices.Backward(meant) {
		if _, there := found.get(m.name); !there {
			found = append(found, m)
		}
	}
	return found
}

// unknown complains of a key that the language does not have. It gives the one that is
// read and that it is likely meant for, if there is one. It is taken for that, so that a
// file which is refused anyway is not told besides that the key is missing, and what
// stands under it is checked too.
func (r *reader) unknown(key, what string, table *keyTable) (meant string, bad *complaint) {
	fix := "remove it"
	if narrows(what) {
		fix = "if it is to narrow something, find another way before you take it out"
	}
	bad = complainOf("unknown key in "+what, key, table.status, fix)
	if len(r.errs) >= maxErrors {
		return "", bad // the search is slow, and nobody would read what comes of it
	}
	if other, ok := writtenOtherwise(what, key); ok {
		return other.key, complain(bad.why, other.advice())
	}
	if near := nearest(key, table.status); table.status[near] == read {
		return near, bad
	}
	return "", bad
}

// keyTable is what keys an object may hold, ready for looking up.
type keyTable struct {
	status keys
	folded map[string]knownKey // by lower case
}

type knownKey struct {
	name   string
	status status
}

func (t *keyTable) find(key string) (knownKey, bool) {
	if k, ok := t.folded[strings.ToLower(key)]; ok {
		return k, true
	}
	return knownKey{key, ignored}, t.status[notes] != 0 && strings.HasPrefix(key, notes)
}

// keyTable gives the table of one kind of object, made once a file.
func (r *reader) keyTable(what string, known func() keys) *keyTable {
	if t, ok := r.known[what]; ok {
		return t
	}
	t := &keyTable{known(), make(map[string]knownKey)}
	for name, status := range t.status {
		t.folded[strings.ToLower(name)] = knownKey{name, status}
	}
	r.known[what] = t
	return t
}
