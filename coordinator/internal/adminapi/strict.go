package adminapi

import (
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
)

// What an operator says is refused if a part of it is not understood. To drop that, as is
// usual, would admit a machine at once for needsAproval, put a policy in force for good for
// confirmWithn, and do what an older coordinator makes of a newer tool's request: each time
// with the answer that it was done. Nodes are another matter: a newer one tells an older
// coordinator more than that can use.

// strict gives the codecs of requests that are understood as a whole.
func strict() connect.Option {
	return connect.WithOptions(connect.WithCodec(strictProto{}), connect.WithCodec(strictJSON("json")), connect.WithCodec(strictJSON("json; charset=utf-8")))
}

var errNoMessage = errors.New("no message of a protocol buffer")

// strictJSON is JSON, by the name that its content type has.
type strictJSON string

func (s strictJSON) Name() string { return string(s) }

func (strictJSON) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errNoMessage
	}
	return protojson.Marshal(m)
}

func (strictJSON) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errNoMessage
	}
	return protojson.Unmarshal(b, m)
}

type strictProto struct{}

func (strictProto) Name() string { return "proto" }

func (strictProto) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, errNoMessage
	}
	return proto.Marshal(m)
}

func (strictProto) Unmarshal(b []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return errNoMessage
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return err
	}
	return protorange.Range(m.ProtoReflect(), func(at protopath.Values) error {
		if at.Index(-1).Step.Kind() == protopath.UnknownAccessStep {
			return fmt.Errorf("there is something in the request that this coordinator does not know (%s): is the tool newer?", at.Path)
		}
		return nil
	})
}
