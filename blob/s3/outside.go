package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Outside writes plain objects into buckets of customers: what they asked to have outside. Its credentials come from where AWS's tools look:
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the credentials file, the machine's role.
type Outside struct {
	o    Options
	core *minio.Client
}

// NewOutside makes one for a store; only Endpoint, Secure and Region count.
func NewOutside(o Options) (*Outside, error) {
	creds := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	core, err := minio.New(o.Endpoint, &minio.Options{Creds: creds, Secure: o.Secure, Region: o.Region, MaxRetries: 3})
	if err != nil {
		return nil, fmt.Errorf("the store's address: %w", err)
	}
	return &Outside{o, core}, nil
}

// Check writes an object below a prefix and removes it. Its errors are sentences that say what to do.
func (s *Outside) Check(ctx context.Context, bucket, prefix string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	name := prefix + "/kith-check-" + fmt.Sprint(time.Now().UnixNano())
	_, err := s.core.PutObject(ctx, bucket, name, strings.NewReader("kith"), 4, minio.PutObjectOptions{})
	if err == nil {
		err = s.core.RemoveObject(ctx, bucket, name, minio.RemoveObjectOptions{})
	}
	switch e, ok := errors.AsType[minio.ErrorResponse](err); {
	case err == nil:
		return nil
	case !ok:
		return fmt.Errorf("the store at %s does not answer, or this server has no credentials for it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role", s.o.Endpoint)
	case e.Code == "NoSuchBucket":
		return fmt.Errorf("there is no bucket %q at %s", bucket, s.o.Endpoint)
	default:
		return fmt.Errorf("this server may not write to the bucket %q at %s (%s): allow its key PutObject and DeleteObject below %s/", bucket, s.o.Endpoint, e.Code, prefix)
	}
}

// Put writes an object, whole or not at all.
func (s *Outside) Put(ctx context.Context, bucket, key string, r io.Reader) error {
	_, err := s.core.PutObject(ctx, bucket, key, r, -1, minio.PutObjectOptions{ContentType: "text/csv", PartSize: 16 << 20})
	return convert(ctx, err)
}
