package query_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// check refuses what the dialect refuses.
func (w *world) check() error {
	for _, name := range slices.Sorted(maps.Keys(w.policy.Groups)) {
		for _, member := range trim(w.policy.Groups[name]) {
			if strings.HasPrefix(member, "group:") {
				return fmt.Errorf("groups[%q]: %q: group members cannot be recursive", name, member)
			}
		}
	}
	for tag := range w.policy.TagOwners {
		if !regexp.MustCompile("^tag:[A-Za-z][A-Za-z0-9-]*$").MatchString(tag) {
			return fmt.Errorf("%q: tag names must start with a letter", tag)
		}
	}
	for _, g := range w.policy.Grants {
		if err := w.checkGrant(g); err != nil {
			return err
		}
	}
	for _, a := range w.policy.ACLs {
		if err := w.checkACL(a); err != nil {
			return err
		}
	}
	for _, f := range w.policy.Forbid {
		for _, alias := range trim(f.Dst) {
			if err := w.checkDestination(alias); err != nil {
				return err
			}
		}
		if err := w.checkSources(f.Src, false, false); err != nil {
			return err
		}
	}
	for _, r := range w.policy.SSH {
		if err := w.checkSSH(r); err != nil {
			return err
		}
	}
	for _, entry := range w.policy.NodeAttrs {
		for _, alias := range trim(entry.Target) {
			if alias == "autogroup:shared" || strings.HasPrefix(alias, "ipset:") {
				return fmt.Errorf("target=%q is none", alias)
			}
			if err := w.known(alias); err != nil {
				return fmt.Errorf("target=%w", err)
			}
		}
	}
	if err := w.checkApprovers(); err != nil {
		return err
	}
	return w.checkTests()
}

// known says why an alias names nothing.
func (w *world) known(alias string) error {
	kind, rest, _ := strings.Cut(alias, ":")
	switch {
	case alias == "*":
		return nil
	case kind == "tag":
		if _, ok := w.policy.TagOwners[alias]; !ok {
			return fmt.Errorf("tag not found: %q", alias)
		}
		return nil
	case kind == "group":
		if _, ok := w.policy.Groups[alias]; !ok {
			return fmt.Errorf("group not found: %q", alias)
		}
		return nil
	case kind == "seg":
		if _, ok := w.policy.Segments[alias]; !ok {
			return fmt.Errorf("segment not found: %q", alias)
		}
		return nil
	case kind == "autogroup":
		return knownAutogroup(rest)
	case kind == "user":
		return w.knownDomain(rest)
	case strings.Contains(alias, "@") && kind != "host":
		return nil
	}
	if _, ok := w.literal(alias); !ok {
		return fmt.Errorf("%q is not known", alias)
	}
	return nil
}

func knownAutogroup(name string) error {
	all := []string{"member", "members", "tagged", "shared", "internet", "self", "danger-all",
		"owner", "admin", "it-admin", "network-admin", "billing-admin", "auditor"}
	if !slices.Contains(all, name) {
		return fmt.Errorf("autogroup:%s is not known", name)
	}
	return nil
}

// knownDomain looks at "*@DOMAIN".
func (w *world) knownDomain(text string) error {
	domain, ok := strings.CutPrefix(text, "*@")
	if !ok {
		return fmt.Errorf("%q: not of the form *@DOMAIN", text)
	}
	if w.Tailnet != nil && !slices.Contains(w.Tailnet.Domains, domain) {
		return fmt.Errorf("domain %q is not of the tailnet", domain)
	}
	return nil
}

func (w *world) checkSources(src []string, self, acl bool) error {
	for _, alias := range trim(src) {
		if alias == "autogroup:self" || alias == "autogroup:internet" {
			return fmt.Errorf("%q not valid on the src side of a rule", alias)
		}
		if err := w.known(alias); err != nil {
			return fmt.Errorf("src=%w", err)
		}
		if self && !selfSource(alias) && (alias != "*" || !acl) {
			return fmt.Errorf("src=%q not valid with autogroup:self", alias)
		}
	}
	return nil
}

// selfSource says whether an alias may stand before autogroup:self.
func selfSource(alias string) bool {
	kind, _, _ := strings.Cut(alias, ":")
	notPeople := []string{"autogroup:tagged", "autogroup:shared", "autogroup:danger-all", "autogroup:internet", "autogroup:self"}
	return kind == "group" || kind == "user" || kind == "autogroup" && !slices.Contains(notPeople, alias) || strings.Contains(alias, "@")
}

func isRole(alias string) bool {
	return strings.HasPrefix(alias, "autogroup:") && (strings.HasSuffix(alias, "admin") || strings.HasSuffix(alias, ":owner") || strings.HasSuffix(alias, ":auditor"))
}

func (w *world) checkDestination(alias string) error {
	if alias == "autogroup:danger-all" || alias == "autogroup:shared" {
		return fmt.Errorf("%q not valid on the dst side of a rule", alias)
	}
	if err := w.known(alias); err != nil {
		return fmt.Errorf("dst=%q: %w", alias, err)
	}
	return nil
}

func (w *world) checkGrant(g grant) error {
	if len(g.IP) == 0 && len(g.App) == 0 {
		return errors.New("ip and app can not both be empty")
	}
	if err := w.checkSources(g.Src, slices.Contains(trim(g.Dst), "autogroup:self"), false); err != nil {
		return err
	}
	for _, alias := range trim(g.Dst) {
		if alias == "0.0.0.0/0" || alias == "::/0" {
			return fmt.Errorf("dst %q: to allow all IP addresses, use \"*\" or \"autogroup:internet\"", alias)
		}
		if alias == "autogroup:internet" && len(g.App) > 0 {
			return errors.New("cannot use app grants with autogroup:internet")
		}
		if isRole(alias) && len(g.App) > 0 {
			return errors.New("cannot use app grants with a role as destination")
		}
		if err := w.checkDestination(alias); err != nil {
			return err
		}
	}
	for _, text := range g.IP {
		if _, err := parseIP(text); err != nil {
			return err
		}
	}
	for name := range g.App {
		if err := checkCapability(name); err != nil {
			return err
		}
	}
	for _, alias := range trim(g.Via) {
		if !strings.HasPrefix(alias, "tag:") {
			return fmt.Errorf("via %q: via can only be a tag", alias)
		}
		if err := w.known(alias); err != nil {
			return fmt.Errorf("via=%w", err)
		}
	}
	return nil
}

func checkCapability(name string) error {
	domain, path, ok := strings.Cut(name, "/")
	if !ok || path == "" || !strings.Contains(domain, ".") || strings.Contains(domain, ":") {
		return fmt.Errorf("%q: capability name must have the form {domain}/{path}", name)
	}
	listed := []string{"cap/drive", "cap/relay", "cap/webui", "cap/kubernetes", "cap/golink", "cap/secrets", "cap/tsidp", "cap/tailsql", "cap/aperture"}
	if domain == "tailscale.com" && !slices.Contains(listed, path) {
		return fmt.Errorf("%q: capability name must not be in the tailscale.com domain", name)
	}
	return nil
}

func (w *world) checkACL(a acl) error {
	if action := strings.TrimSpace(a.Action); action != "accept" {
		return fmt.Errorf("action=%q is not supported", action)
	}
	protos, err := parseProto(a.Proto)
	if err != nil {
		return err
	}
	self := false
	for _, text := range a.Dst {
		alias, ports, err := splitDst(text)
		if err != nil {
			return err
		}
		if err := w.checkDestination(alias); err != nil {
			return err
		}
		if _, err := parseServices(protos, ports); err != nil {
			return fmt.Errorf("dst=%q: %w", text, err)
		}
		self = self || alias == "autogroup:self"
	}
	return w.checkSources(a.Src, self, true)
}

func (w *world) checkSSH(r sshRule) error {
	if action := strings.TrimSpace(r.Action); action != "accept" && action != "check" {
		return fmt.Errorf("action=%q is not supported", action)
	}
	for _, alias := range slices.Concat(trim(r.Src), trim(r.Dst)) {
		selector, _ := w.selects(alias, &device{})
		if !selector && alias != "autogroup:self" {
			return fmt.Errorf("%q is neither people nor tags", alias)
		}
		if err := w.known(alias); err != nil {
			return err
		}
	}
	if err := w.checkSources(r.Src, false, false); err != nil {
		return err
	}
	for _, src := range trim(r.Src) {
		if src == "autogroup:shared" {
			return fmt.Errorf("src=%q is not valid here", src)
		}
		kind, _, _ := strings.Cut(src, ":")
		machine := kind == "tag" || src == "autogroup:tagged"
		if machine && strings.TrimSpace(r.Action) == "check" {
			return fmt.Errorf("src=%q: \"check\" action does not support tags in src", src)
		}
		for _, dst := range trim(r.Dst) {
			user := strings.Contains(dst, "@") && !strings.HasPrefix(dst, "user:")
			personal := dst == "autogroup:self" || dst == "autogroup:member" || dst == "autogroup:members" || user
			if machine && personal || user && src != dst {
				return fmt.Errorf("src=%q: users in dst are only allowed from the same user, not %q", src, dst)
			}
		}
	}
	for _, dst := range trim(r.Dst) {
		kind, _, _ := strings.Cut(dst, ":")
		if kind == "group" || kind == "user" || kind == "autogroup" && !slices.Contains([]string{"autogroup:self", "autogroup:member", "autogroup:members", "autogroup:tagged"}, dst) {
			return fmt.Errorf("dst=%q is nobody's own", dst)
		}
	}
	if slices.Contains(r.AcceptEnv, "") {
		return errors.New("acceptEnv has an empty name")
	}
	for _, user := range trim(r.Users) {
		if user == "*" || user == "" {
			return fmt.Errorf("user %q is not valid", user)
		}
		if domain, ok := strings.CutPrefix(user, "localpart:*@"); ok {
			if err := w.knownDomain("*@" + domain); err != nil {
				return err
			}
		}
	}
	return checkPeriod(r.CheckPeriod)
}

func checkPeriod(text *string) error {
	if text == nil || *text == "always" || strings.TrimSpace(*text) == "" {
		return nil
	}
	d, err := time.ParseDuration(*text)
	if err == nil && (d < 0 || d > 168*time.Hour) {
		return fmt.Errorf("checkPeriod %v is above the max (168h)", d)
	}
	return err
}

func (w *world) checkApprovers() error {
	if w.policy.AutoApprovers == nil {
		return nil
	}
	lists := slices.Collect(maps.Values(w.policy.AutoApprovers.Routes))
	for _, alias := range trim(slices.Concat(append(lists, w.policy.AutoApprovers.ExitNode)...)) {
		if err := w.known(alias); err != nil {
			return err
		}
	}
	return nil
}
