package query_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/cordonmesh/cordon/acl/query"
)

// TestAnswersTheDialect: every case that was worked out by hand is answered so.
func TestAnswersTheDialect(t *testing.T) {
	for _, c := range dialectCases(t) {
		t.Run(c.name, func(t *testing.T) {
			var got, want map[string]any
			text := query.Answer(c.line)
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(c.want, &want); err != nil {
				t.Fatal(err)
			}
			if want["compile"] == "error" && got["compile"] == "error" {
				return // the words are acl/policy's to test
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("asked %s\ngot  %s\nwant %s", c.line, text, c.want)
			}
		})
	}
}
