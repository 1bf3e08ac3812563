package policy

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/cordonmesh/cordon/acl"
)

// entry adds to a list what one entry of "ip" opens, as grantService does. Of more than
// one port, or with blanks inside, it is refused in the words of the dialect, in which a
// list of ports stands in acls alone; what it means is clear, and stays so in force.
func entry(open []acl.Service, text string) ([]acl.Service, *complaint) {
	open, bad := grantService(open, text)
	if bad != nil || !strings.ContainsFunc(text, separates) {
		return open, bad
	}
	name, portText, hasProtocol := strings.Cut(text, ":")
	if !hasProtocol {
		name, portText = "", text
	}
	low, _, isRange := strings.Cut(portText, "-")
	why := fmt.Sprintf("port range %q: invalid first integer", shorten(portText))
	switch {
	case strings.ContainsFunc(name, separates):
		why = fmt.Sprintf("unknown protocol %q", shorten(name))
	case isRange && !strings.ContainsFunc(low, separates):
		why = fmt.Sprintf("port range %q: invalid last integer", shorten(portText))
	}
	return open, judge(why, "an entry is one port or one range: write "+eachPort(name, portText))
}

func separates(c rune) bool { return c == ',' || unicode.IsSpace(c) }

// eachPort writes the first of some ports as entries of their own.
func eachPort(name, portText string) string {
	if name = strings.TrimSpace(name); name != "" {
		name += ":"
	}
	const most = 3
	all := strings.SplitN(portText, ",", most+1)
	more := ""
	if len(all) > most {
		all, more = all[:most], " and so on"
	}
	for i, one := range all {
		all[i] = fmt.Sprintf("%q", name+strings.TrimSpace(one))
	}
	return strings.Join(all, ", ") + more
}
