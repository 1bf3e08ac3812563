package admin_test

import (
	"strings"
	"testing"

	"github.com/cordonmesh/cordon/coordinator/admin"
)

func TestAddress(t *testing.T) {
	print := strings.Repeat("ab12", 16)
	a, err := admin.ParseAddress(" https://mesh.clinic.example:8443#" + print + "\n")
	if err != nil || a.URL != "https://mesh.clinic.example:8443" || a.String() != "https://mesh.clinic.example:8443#"+print {
		t.Errorf("%v, %v", a, err)
	}
	for _, bad := range []string{"", "https://mesh.clinic.example:8443", "http://mesh.clinic.example#" + print, "https://mesh.clinic.example/x#" + print,
		"https://mesh.clinic.example#" + print[1:], "https://mesh.clinic.example#" + strings.Repeat("0", 64), "https://mesh.clinic.example#" + print + ".secret"} {
		if a, err := admin.ParseAddress(bad); err == nil {
			t.Errorf("%q is %v", bad, a)
		}
	}
}
