package policy

import "github.com/cordonmesh/cordon/acl"

// Service is a protocol by a name that rules may use ("service:dicom").
type Service struct {
	Name string // "dicom"
	Open []acl.Service
}
