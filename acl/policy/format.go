package policy

import "errors"

// Format gives a policy file in canonical form: two files that differ in blanks
// alone become one. Comments stay, and so does everything that the file says.
// A file that cannot be read to its end, or has a key twice, is refused with
// [Errors]; whether it is a policy that holds is [Parse]'s to say.
func Format(name string, src []byte) ([]byte, error) {
	r := newReader(name, src)
	root, ok := r.unique()
	if !ok {
		return nil, r.errs
	}
	root.Format()
	once := root.Pack()
	again := newReader(name, once)
	root, ok = again.unique()
	if !ok {
		return nil, errors.Join(errors.New("formatting would damage the file"), again.errs)
	}
	root.Format() // where a comment moved, the first pass leaves blanks behind
	return root.Pack(), nil
}
