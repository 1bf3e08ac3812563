package coordinator_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/cordonmesh/cordon/coordinator"
	"github.com/cordonmesh/cordon/coordinator/internal/auth/signin"
)

// Whatever the desk asks of a sign-in comes to the provider: what is lost between
// them, such as that somebody proves afresh who they are, would be asked for in vain
// and missed by nobody.
func TestAllThatTheDeskAsksComesToTheProvider(t *testing.T) {
	var asked signin.Attempt
	fields := reflect.ValueOf(&asked).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Interface().(type) {
		case string:
			f.SetString("the " + fields.Type().Field(i).Name)
		case bool:
			f.SetBool(true)
		case []string:
			f.Set(reflect.ValueOf([]string{"the " + fields.Type().Field(i).Name}))
		case time.Time:
			f.Set(reflect.ValueOf(time.Unix(1, 0)))
		default:
			t.Fatalf("no value is known here for the field %s", fields.Type().Field(i).Name)
		}
	}
	got := reflect.ValueOf(coordinator.Asked(asked))
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		if f := got.FieldByName(name); !f.IsValid() || !reflect.DeepEqual(f.Interface(), fields.Field(i).Interface()) {
			t.Errorf("%s does not come to the provider", name)
		}
	}
}
