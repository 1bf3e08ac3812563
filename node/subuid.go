package node

import (
	"bufio"
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
)

// subUIDs lists what accounts were given besides their own uid, for user namespaces
// (subuid(5)). Whose name the user database would give cannot be asked here: a
// directory's accounts are known to the C library alone, and this program has none.
const subUIDs = "/etc/subuid"

// nameSwitch says who gives such accounts where that file does not (nsswitch.conf(5)).
const nameSwitch = "/etc/nsswitch.conf"

// subordinates is where this machine says of accounts that others can become them.
type subordinates struct{ file, nameSwitch string }

// isSubordinate tells whether an account is one of those that another can become by
// itself, thousands of them: no person works as one. A file that is not there gives
// nobody any.
func (s subordinates) isSubordinate(account string) bool {
	uid, err := strconv.ParseUint(account, 10, 32)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(s.ranges(), func(r subRange) bool { return uid >= r.first && uid-r.first < r.count })
}

// subRange is one line of the file.
type subRange struct {
	owner        string
	first, count uint64
}

func (s subordinates) ranges() (all []subRange) {
	for _, fields := range fieldsOf(s.file, ":") {
		if len(fields) != 3 {
			continue
		}
		first, errFirst := strconv.ParseUint(fields[1], 10, 32)
		count, errCount := strconv.ParseUint(fields[2], 10, 32)
		if errFirst == nil && errCount == nil {
			all = append(all, subRange{fields[0], first, count})
		}
	}
	return all
}

// unseen names the directory that gives such accounts instead of the file, unless the
// file says by a line of that name which all of them are; else it is empty. A directory
// is asked by a plug-in for C, and never whose an account is.
func (s subordinates) unseen() string {
	for _, fields := range fieldsOf(s.nameSwitch, "") {
		if len(fields) < 2 || fields[0] != "subid:" || fields[1] == "files" {
			continue
		}
		if !slices.ContainsFunc(s.ranges(), func(r subRange) bool { return r.owner == fields[1] }) {
			return fields[1]
		}
	}
	return ""
}

// fieldsOf gives the lines of a file in fields, which blanks part or what is given.
func fieldsOf(file, by string) (all [][]string) {
	table, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if by == "" {
			all = append(all, strings.Fields(text))
		} else {
			all = append(all, strings.Split(strings.TrimSpace(text), by))
		}
	}
	return all
}
