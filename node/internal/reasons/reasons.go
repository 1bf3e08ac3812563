// Package reasons joins errors as people read them: on one line, and each once. Where
// several ways were tried, status, log and a command's last word have room for no more.
package reasons

import (
	"slices"
	"strings"
)

// Join gives one error of those that are some, or nil. It wraps them all.
func Join(errs ...error) error {
	some := slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	if len(some) == 0 {
		return nil
	}
	return joined(some)
}

type joined []error

func (j joined) Error() string {
	var all []string
	for _, err := range j {
		if text := err.Error(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, "; ")
}

func (j joined) Unwrap() []error { return j }
