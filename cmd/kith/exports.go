package main

import (
	"context"
	"net/url"
	"os"
	"strings"

	"kith/blob/s3"
	"kith/fault"
	"kith/match"
)

// exportsTo makes the place for results that domains want to have outside (ExportingConfig): a folder, or buckets at the address of an
// S3-compatible store; nothing is AWS's S3.
func exportsTo(to string) (match.Exports, error) {
	if to != "" && !strings.HasPrefix(to, s3.Scheme+"://") {
		info, err := os.Stat(to)
		if err != nil || !info.IsDir() {
			return nil, usageError("--exports: %s is no folder; make it, or name another one, or %s://?endpoint=https://host", to, s3.Scheme)
		}
		return match.Folder{Dir: to}, nil
	}
	address := s3.Scheme + "://any"
	if to != "" {
		u, err := url.Parse(to)
		if err != nil || u.Host != "" || strings.Trim(u.Path, "/") != "" {
			return nil, usageError("--exports: %q must be a folder, or %s://?endpoint=https://host: each domain names its bucket itself", to, s3.Scheme)
		}
		address += "?" + u.RawQuery
	}
	o, err := s3.ParseAddress(address)
	if err != nil {
		return nil, usageError("--exports: %w", err)
	}
	outside, err := s3.NewOutside(o)
	if err != nil {
		return nil, usageError("--exports: %w", err)
	}
	return buckets{outside}, nil
}

// buckets is match.Exports into buckets.
type buckets struct{ *s3.Outside }

// May implements match.Exports.
func (b buckets) May(ctx context.Context, bucket, prefix string) error {
	if err := b.Check(ctx, bucket, prefix); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fault.BadRequestf("ExportingConfig can't be used: %s.", err)
	}
	return nil
}
