package node

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// subUIDs lists what accounts were given besides their own uid, for user namespaces
// (subuid(5)). Whose name the user database would give cannot be asked here: a
// directory's accounts are known to the C library alone, and this program has none.
const subUIDs = "/etc/subuid"

// isSubordinate tells whether an account is one of those that another can become by
// itself, thousands of them: no person works as one. A file that is not there gives
// nobody any.
func isSubordinate(file, account string) bool {
	uid, err := strconv.ParseUint(account, 10, 32)
	if err != nil {
		return false
	}
	table, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		fields := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(fields) != 3 {
			continue
		}
		first, errFirst := strconv.ParseUint(fields[1], 10, 32)
		count, errCount := strconv.ParseUint(fields[2], 10, 32)
		if errFirst == nil && errCount == nil && uid >= first && uid-first < count {
			return true
		}
	}
	return false
}
