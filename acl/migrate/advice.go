package migrate

import "strings"

// note is what is to be said of a key or a word that is read.
type note struct {
	why, do string
	effect  Effect
}

// dropped says more of keys that have no effect here: by section and key, in lower
// case.
func dropped() map[string]note {
	return map[string]note{
		"derpmap":                {"relays are the coordinator's own and those that it names", "name others with `cordon-coordinator serve --relay`", None},
		"randomizeclientport":    {"a node takes any free port, and keeps it", "`cordon daemon --port` sets one", None},
		"disableipv4":            {"every node has an IPv4 and an IPv6 address", "where one family is meant, name addresses in the rules", None},
		"onecgnatroute":          {"a node routes the mesh's ranges as they are", "`cordon-coordinator init` sets the ranges", None},
		"extradnsrecords":        {"the names of the mesh are those of its nodes", "keep other names at your own server, and lead to it with `cordon daemon --dns-route`", None},
		"magicdns":               {"each node says whether it answers for names", "start it with `cordon daemon --dns`", None},
		"ssh.recorder":           {"nothing records SSH sessions", "have the SSH server of the machine do it", None},
		"ssh.enforcerecorder":    {"nothing records SSH sessions", "have the SSH server of the machine do it", None},
		"nodeattrs.ippool":       {"nodes have their addresses out of the mesh's ranges", "`cordon-coordinator init` sets the ranges", None},
		"nodeattrs.app":          {"no node leads to domains by their names", "have a gateway advertise their networks", Less},
		"autoapprovers.services": {"there are no virtual services", "name the machines behind them by a tag", None},
	}
}

// sectionNotes says what sections mean here that mean less than there, or are kept
// for another use. All others mean the same.
func sectionNotes() map[string]note {
	return map[string]note{
		"tagowners":         {"owners are checked and nobody asks them: tags come with the token of a node", "give them with `cordonctl token create --tag`", None},
		"postures":          {"no device has a posture on a live mesh yet", "see at each rule that asks for one", None},
		"defaultsrcposture": {"no device has a posture on a live mesh yet, so every rule without one of its own is closed to them; what stands behind a gateway is asked for none, as there", "decide whether rules may hold without, and take it out if so", Less},
		"ssh":               {"rules are checked, and no SSH server is part of Cordon yet: nobody comes in by them", "run the system's own, and open it by a grant of tcp:22", Less},
		"sshtests":          {"they judge the rules of ssh, which no server obeys yet", "test who reaches port 22, in tests", Unproved},
		"nodeattrs":         {"`policy query` answers them, and nothing on a node obeys one", "", None},
	}
}

// ruleKeys says what keys of a rule mean here.
func ruleKeys() map[string]note {
	return map[string]note{
		"srcposture": {"no device has a posture on a live mesh yet, so this rule is closed to them; what stands behind a gateway is asked for none, as there", "decide whether it may hold without, or ask for a login by when", Less},
		"app":        {"`policy query` answers capabilities, and no program on a node is told of one", "have the program ask for them elsewhere", Less},
		"via":        {"one prefix has one gateway at a time, and a second one waits", "", None},
	}
}

// attribute says what one attribute of nodeAttrs did; ok is false where there is no
// more to say than of the section.
func attribute(name string) (n note, ok bool) {
	kind, _, _ := strings.Cut(name, ":")
	n, ok = map[string]note{
		"funnel":                {"nothing of a node is published on the internet", "publish it by a proxy of your own", Less},
		"mullvad":               {"there are no exit nodes of a provider", "let clients go out by their own network", Less},
		"drive":                 {"nodes share no folders", "open a file server by a grant of service:smb", Less},
		"nextdns":               {"names are asked of your own servers", "lead to them with `cordon daemon --dns-route`", None},
		"randomize-client-port": {"a node takes any free port, and keeps it", "`cordon daemon --port` sets one", None},
	}[kind]
	return n, ok
}

// word says what a name of who or what means here that meant more there.
func (o Options) word(name string) (n note, ok bool) {
	if role, is := roles()[name]; is {
		return role, true
	}
	if strings.HasPrefix(name, "svc:") {
		return note{"there are no virtual services, so this leads nowhere", "name the machines behind it by a tag", Less}, true
	}
	login, domain, person := strings.Cut(name, "@")
	pattern := strings.HasPrefix(name, "user:*@")
	switch {
	case !person || strings.HasPrefix(name, "localpart:") || strings.ContainsAny(name, "/: ") && !pattern:
		return note{}, false
	case domain == "" && o.From == Headscale && o.Domain == "":
		return note{"nobody has a name here, people have logins", "give their domain with --domain", Less}, true
	case domain == "":
		return note{"nobody has a name here, people have logins", "write " + login + "@ with their domain", Less}, true
	case domain == "github" || domain == "passkey":
		return note{"logins are those of your own identity provider, which has none like this", "write the login of the same person there", Less}, true
	case strings.ToLower(name) != name:
		return note{"letter case counts, and who signs in has a login in lower case", "write " + strings.ToLower(name), Less}, true
	}
	return note{}, false
}

// roles says of what is not the same here of the dialect's own names.
func roles() map[string]note {
	given := func(role string) note {
		return note{"it means those who have the role " + role + " here", "`cordonctl role grant` gives it", Less}
	}
	return map[string]note{
		"autogroup:internet":      {"no node carries a default route yet, so it opens nothing", "let clients go out by their own network", Less},
		"autogroup:shared":        {"there are no people of other meshes, so it is nobody", "name people by their logins", Less},
		"autogroup:billing-admin": {"there are no bills, so it is nobody", "name people by a group", Less},
		"autogroup:owner":         given("owner"), "autogroup:admin": given("owner"), "autogroup:network-admin": given("policy-admin"),
		"autogroup:it-admin": given("device-admin"), "autogroup:auditor": given("auditor"),
	}
}
