package server

import (
	"context"
	"reflect"
	"strings"

	"kith/access"
	"kith/api"
	"kith/domain"
	"kith/internal/restjson"
	"kith/sigv4"
)

// tagAction is what tagging something is, whichever operation does it.
const tagAction = "profile:TagResource"

// authorize asks the caller's policies whether it may call an operation on all that the request acts on. in is what could be decoded of the
// request: when that is not all of it, the request ends with that error, whatever is said here.
func (s *Server) authorize(ctx context.Context, who sigv4.Verified, rt *route, labels *labels, in restjson.Input) (access.Identity, error) {
	caller := access.Identity{KeyID: who.AccessKeyID, Region: who.Region}
	if s.AnyKey || s.Local != nil && who.AccessKeyID == s.Local.ID {
		caller.Root = true
		return caller, nil
	}
	key, err := s.Access.Lookup(ctx, who.AccessKeyID)
	if err != nil {
		return caller, err
	}
	var room [2]string
	resources := access.Resources(room[:0], rt.op, labels.PathValue, in, taggedResource(labels.PathValue("resourceArn")))
	if err := key.Authorize(rt.op.Action, resources); err != nil {
		return caller, err
	}
	if rt.tags >= 0 && reflect.ValueOf(in).Elem().Field(rt.tags).Len() > 0 {
		return caller, key.Authorize(tagAction, resources[len(resources)-1:])
	}
	return caller, nil
}

// taggedResource returns what an ARN names below region and account, read as the operations read it: "domains/acme". It is "" for what is no
// ARN of ours.
func taggedResource(arn string) string {
	if arn == "" {
		return "" // as in most paths
	}
	name, rest, ok := domain.ParseARN(arn)
	if !ok {
		return ""
	}
	if rest != "" {
		rest = "/" + rest
	}
	return "domains/" + name + rest
}

// tagsField returns the index of an input's field Tags when the operation makes what is tagged, else -1.
func tagsField(op api.Operation) int {
	if !strings.HasPrefix(op.Name, "Create") && !strings.HasPrefix(op.Name, "Put") {
		return -1
	}
	f, ok := reflect.TypeOf(op.NewInput()).Elem().FieldByName("Tags")
	if !ok {
		return -1
	}
	return f.Index[0]
}
