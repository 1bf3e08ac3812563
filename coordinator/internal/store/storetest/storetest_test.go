package storetest_test

import (
	"testing"

	"github.com/cordonmesh/cordon/coordinator/internal/registry"
	"github.com/cordonmesh/cordon/coordinator/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) func() registry.Journal {
		m := storetest.NewMemory()
		return func() registry.Journal { return m }
	})
}
