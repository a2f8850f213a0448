// Package programs plays what public programs ask of the API, call by call and in their order, through the official Go SDK and with its typed
// errors, against a node in process.
package programs

import (
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"kith/access"
	"kith/api"
	"kith/blob/disk"
	"kith/match"
	"kith/node"
	"kith/server"
	"kith/store/pebble"
)

// region is what the programs are set up for: not the server's own, as it is with people who bring a configuration along.
const region = "eu-central-1"

// account is what the programs learn of themselves, and build ARNs with.
type account struct {
	*customerprofiles.Client
	sts *sts.Client
	id  string
	url string
	// creds are what the programs sign with.
	creds aws.CredentialsProvider
}

// start runs a node and logs in at it, as programs do: they ask STS who they are. Pages of origins may use it.
func start(t *testing.T, origins ...string) *account {
	t.Helper()
	st, err := pebble.Open(filepath.Join(t.TempDir(), "store"), pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(node.Config{
		Store: st, Blobs: blobs, Master: make([]byte, 32), Owner: "programs", Server: server.Config{Origins: origins}, Exports: match.Folder{Dir: t.TempDir()},
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(n.Handler)
	t.Cleanup(func() {
		web.Close()
		n.Stop()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	key, err := n.Access.CreateAccessKey(access.With(t.Context(), access.Identity{Root: true}), &api.CreateAccessKeyRequest{Policy: aws.String(access.Everything)})
	if err != nil {
		t.Fatal(err)
	}
	creds := credentials.NewStaticCredentialsProvider(*key.AccessKeyId, *key.SecretAccessKey, "")
	a := &account{
		Client: customerprofiles.New(customerprofiles.Options{BaseEndpoint: &web.URL, Region: region, Credentials: creds}),
		sts:    sts.New(sts.Options{BaseEndpoint: &web.URL, Region: region, Credentials: creds}),
		url:    web.URL, creds: creds,
	}
	who, err := a.sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	a.id = *who.Account
	return a
}

// arn is an ARN as programs make it themselves, of what they know: no answer holds one.
func (a *account) arn(resource string) *string {
	return aws.String("arn:aws:profile:" + region + ":" + a.id + ":" + resource)
}

// must fails the test on an error.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// same fails the test when two values differ.
func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, got, want)
	}
}

// gone says that an error is the typed one of what does not exist.
func gone(err error) bool {
	_, ok := errors.AsType[*types.ResourceNotFoundException](err)
	return ok
}

// refused says that an error is the typed one of what can't be done, with a text that programs look for.
func refused(err error, text string) bool {
	e, ok := errors.AsType[*types.BadRequestException](err)
	return ok && strings.Contains(e.ErrorMessage(), text)
}

// has says whether an error has a text in it that programs look for.
func has(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
