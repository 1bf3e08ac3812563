package policy

import (
	"errors"

	"github.com/tailscale/hujson"
)

// Format gives a policy file in canonical form: two files that differ in blanks
// alone become one. Comments stay, and so does everything that the file says.
// A file that cannot be read to its end, or has a key twice, is refused with
// [Errors]; whether it is a policy that holds is [Parse]'s to say.
func Format(name string, src []byte) ([]byte, error) {
	once, err := formatted(name, src)
	if err != nil {
		return nil, err
	}
	twice, err := formatted(name, once) // where a comment moved, the first pass leaves blanks behind
	if err != nil {
		return nil, errors.Join(errors.New("formatting would damage the file"), err)
	}
	return twice, nil
}

func formatted(name string, src []byte) ([]byte, error) {
	r := newReader(name, src)
	if _, ok := r.unique(); !ok {
		return nil, r.errs
	}
	return hujson.Format(src)
}
