package policy

import (
	"fmt"
	"strings"
)

// otherwise is what to make of a key that the language does not have and that people
// write all the same.
type otherwise struct {
	key string // the key that it is meant for; empty: there is none
	fix string
}

// writtenOtherwise gives the keys that come from other files, from other products and
// from what one would guess, by the kind of object and in lower case. What would narrow a
// rule, or forbid, is never to be taken out: whoever does so opens what was to be closed.
func writtenOtherwise(what, key string) (o otherwise, ok bool) {
	key = strings.ToLower(key)
	if o, ok = otherKeys(what)[key]; ok {
		return o, true
	}
	switch key {
	case "comment", "comments", "description", "desc", "note", "notes", "name", "title":
		return otherwise{fix: "write it as a comment, // ..."}, true
	case "enabled", "disabled", "enable", "disable", "active":
		return otherwise{fix: "remove it; what is off stands in a comment, /* ... */"}, true
	}
	return otherwise{}, false
}

// otherKeys gives those of one kind of object.
func otherKeys(what string) map[string]otherwise {
	const inside = `write it inside "when": {...}`
	switch what {
	case "the policy":
		const forbid, grants = `write it as "forbid": it beats all that is granted`, `write it as "grants"`
		return map[string]otherwise{
			"deny": {fix: forbid}, "denies": {fix: forbid}, "block": {fix: forbid}, "exceptions": {fix: forbid}, "blacklist": {fix: forbid},
			"rules": {fix: grants}, "allow": {fix: grants}, "policies": {fix: grants}, "permit": {fix: grants},
			"users": {fix: `name people by their logins, in "groups" or in rules`}, "tags": {fix: `write "tagOwners": {"tag:NAME": []}`},
			"roster": {key: "oncall"}, "rosters": {key: "oncall"}, "when": {key: "schedules"},
		}
	case "a grant":
		const forbid, ends = `write a rule of "forbid" instead: it beats all that is granted`, `a rule ends when it is taken out; what is to end by itself waits for an "approval"`
		return map[string]otherwise{
			"ports": {key: "ip"}, "port": {key: "ip"}, "services": {key: "ip"}, "service": {key: "ip"},
			"proto":    {fix: `write it before the ports: "ip": ["tcp:443"]`},
			"action":   {fix: `remove it: a grant always permits, and "forbid" holds what is never to pass`},
			"schedule": {fix: inside}, "schedules": {fix: inside}, "mfa": {fix: inside}, "oncall": {fix: inside}, "risk": {fix: inside}, "session": {fix: inside}, "idle": {fix: inside},
			"posture": {key: "srcPosture"}, "postures": {key: "srcPosture"},
			"requires": {key: "when"}, "condition": {key: "when"}, "conditions": {key: "when"},
			"deny": {fix: forbid}, "forbid": {fix: forbid}, "except": {fix: forbid}, "block": {fix: forbid},
			"expires": {fix: ends}, "expiry": {fix: ends}, "validuntil": {fix: ends}, "notafter": {fix: ends}, "ttl": {fix: ends}, "maxduration": {fix: ends},
			"priority": {fix: "remove it: the order of rules does not matter, and what is forbidden beats what is granted"},
			"order":    {fix: "remove it: the order of rules does not matter, and what is forbidden beats what is granted"},
			"segment":  {fix: `name it as a destination: "dst": ["seg:NAME"]`}, "segments": {fix: `name it as a destination: "dst": ["seg:NAME"]`},
			"breakglass": {fix: `write a way of its own in the section "breakGlass"`},
			"approvers":  {fix: `define who approves in the section "approvals", and name it here: "approval": "approve:NAME"`},
			"ticket":     {fix: `define it in the section "approvals", and name that here: "approval": "approve:NAME"`},
			"device":     {key: "srcDevice"}, "devices": {key: "srcDevice"}, "gateway": {key: "via"},
		}
	case "an acl":
		grant := otherwise{fix: `write this rule as one of "grants": acls have no conditions`}
		return map[string]otherwise{
			"ip":   {fix: `write the ports behind the names: "dst": ["tag:ehr:443"]`},
			"when": grant, "approval": grant, "limit": grant, "log": grant, "srcdevice": grant, "monitor": grant, "through": grant, "via": grant, "app": grant,
		}
	case "a rule that forbids":
		return map[string]otherwise{
			"action": {fix: "remove it: it always forbids"}, "ports": {key: "ip"}, "port": {key: "ip"}, "services": {key: "ip"}, "service": {key: "ip"},
			"schedule": {fix: inside},
		}
	}
	return otherParts(what)
}

// narrows tells whether what an object says may be what keeps somebody out.
func narrows(what string) bool {
	switch what {
	case "a grant", "an acl", `"when"`, `"mfa"`, `"limit"`, `"requires"`, "a segment", "an approval":
		return true
	}
	return false
}

// otherParts gives those of what is no rule.
func otherParts(what string) map[string]otherwise {
	switch what {
	case "a test":
		return map[string]otherwise{
			"dst": {key: "accept"}, "action": {fix: `write the destinations under "accept" or "deny"`},
			"from": {key: "src"}, "to": {key: "accept"}, "when": {key: "given"}, "want": {fix: `write the destinations under "accept" or "deny"`},
		}
	case `"when"`:
		return map[string]otherwise{"time": {key: "schedule"}, "hours": {key: "schedule"}, "srcposture": {key: "posture"},
			"group": {fix: `name it as a source of the rule`}, "user": {fix: `name them as a source of the rule`}}
	case `"mfa"`:
		return map[string]otherwise{"maxage": {key: "within"}, "age": {key: "within"}}
	case `"given"`:
		return map[string]otherwise{"mfa": {key: "mfaAge"}, "time": {key: "at"}, "now": {key: "at"}, "posture": {key: "postures"}, "srcpostureattrs": {key: "attrs"},
			"user": {fix: `name who asks as "src" of the test`}, "schedule": {fix: `say when it is: "at": "2026-11-22T03:00-06:00"`}}
	case `"limit"`:
		return map[string]otherwise{"rate": {key: "flows"}, "bandwidth": {key: "bytes"}}
	case "a schedule":
		return map[string]otherwise{"timezone": {key: "tz"}, "zone": {key: "tz"}, "days": {key: "weekly"}, "hours": {key: "weekly"}, "times": {key: "weekly"}}
	case "a roster":
		return map[string]otherwise{"file": {key: "ics"}, "url": {key: "ics"}, "path": {key: "ics"}}
	case "an approval":
		return map[string]otherwise{"approvers": {key: "by"}, "duration": {key: "maxDuration"}}
	case "an entry of breakGlass":
		return map[string]otherwise{"duration": {key: "maxDuration"}, "notify": {key: "alert"}, "alarm": {key: "alert"}, "segment": {key: "segments"}}
	case "a segment":
		return map[string]otherwise{"tags": {key: "members"}, "hosts": {key: "members"}, "nets": {key: "members"}, "when": {key: "requires"}, "name": {fix: `write it before: "segments": {"seg:NAME": {...}}`}}
	case "a site":
		return map[string]otherwise{"net": {key: "nets"}, "networks": {key: "nets"}, "cidr": {key: "nets"}, "cidrs": {key: "nets"}}
	case "an asset":
		return map[string]otherwise{"tags": {key: "tag"}, "gateway": {key: "behind"}, "via": {key: "behind"}}
	}
	return nil
}

// advice says what to do about such a key.
func (o otherwise) advice() string {
	if o.key != "" {
		return fmt.Sprintf("did you mean %q?", o.key)
	}
	return o.fix
}
