package osnet_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/cordonmesh/cordon/node/internal/osnet"
)

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]osnet.Config{
		"name too long":          {Name: "a-name-of-16-long"},
		"name with a slash":      {Name: "a/b"},
		"name that is a pattern": {Name: "tun%d"},
		"name that is an option": {Name: "-f"},
		"name that is a parent":  {Name: ".."},
		"MTU too small":          {MTU: 1279},
		"MTU too large":          {MTU: 65_500},
		"the main table":         {Table: 254},
		"table too large":        {Table: 1 << 31},
		"after the main table":   {Priority: 32766},
		"before everything":      {Priority: -1},
	} {
		if _, err := c.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDefaultsDifferByName(t *testing.T) {
	one, err := osnet.Config{Name: "clinic"}.Validate()
	if err != nil {
		t.Fatal(err)
	}
	two, err := osnet.Config{Name: "hospital"}.Validate()
	if err != nil {
		t.Fatal(err)
	}
	if one.Table == two.Table || one.Mark == two.Mark || one.Mark == 0 || one.Table == 0 {
		t.Errorf("%+v and %+v would meet", one, two)
	}
}

func TestOtherSystemsSayWhatToDo(t *testing.T) {
	if runtime.GOOS == "linux" {
		return // network_linux_test.go has the rest
	}
	if _, err := osnet.New(osnet.Config{}); !errors.Is(err, osnet.ErrUnsupported) {
		t.Errorf("New = %v, want ErrUnsupported", err)
	}
}
