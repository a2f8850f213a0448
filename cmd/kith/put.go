package main

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/schollz/progressbar/v3"

	"kith/upload"
)

// resumeFor is how long an upload is tried again after it was cut, without any progress.
const resumeFor = 2 * time.Minute

// putFile uploads the file: in one request, and when that is cut, from where the server says it stands.
func putFile(ctx context.Context, c *client, domain, id string, file *os.File, info io.Writer) error {
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	u := &uploader{c: c, domain: domain, id: id, file: file, size: stat.Size(), bar: newBar(stat.Size(), "Uploading", info)}
	defer leaveBar(info)
	wait := 200 * time.Millisecond
	last := time.Now()
	for {
		before := u.offset
		err := u.send(ctx)
		if err == nil {
			return nil
		}
		if permanent, ok := errors.AsType[*refusedError](err); ok || ctx.Err() != nil {
			if ok {
				err = permanent
			}
			return fmt.Errorf("upload the file: %w", err)
		}
		if u.offset > before {
			last, wait = time.Now(), 200*time.Millisecond
		}
		if time.Since(last) > resumeFor {
			return fmt.Errorf("upload the file: no progress for %s: %w", resumeFor, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// uploader sends a file in the resumable form of the upload URL.
type uploader struct {
	c          *client
	domain, id string
	file       *os.File
	size       int64
	offset     int64
	bar        *progressbar.ProgressBar
}

// refusedError is an answer that trying again does not change.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// send asks where the upload stands and sends the rest.
func (u *uploader) send(ctx context.Context) error {
	// A fresh URL each time: the one before may have expired.
	path, err := u.c.GetUploadJobPath(ctx, &customerprofiles.GetUploadJobPathInput{DomainName: &u.domain, JobId: &u.id})
	if err != nil {
		return fmt.Errorf("ask where to upload: %w", plain(err))
	}
	head, err := u.do(ctx, http.MethodHead, *path.Url, *path.ClientToken, nil)
	if err != nil {
		return err
	}
	if u.offset, err = strconv.ParseInt(head.Get("Upload-Offset"), 10, 64); err != nil || u.offset > u.size {
		return &refusedError{"the server's answer makes no sense: Upload-Offset " + head.Get("Upload-Offset")}
	}
	if head.Get("Upload-Length") != "" && u.offset == u.size {
		return nil
	}
	if _, err := u.file.Seek(u.offset, io.SeekStart); err != nil {
		return err
	}
	_ = u.bar.Set64(u.offset)
	_, err = u.do(ctx, http.MethodPatch, *path.Url, *path.ClientToken, io.TeeReader(u.file, u.bar))
	return err
}

func (u *uploader) do(ctx context.Context, method, url, token string, body io.Reader) (http.Header, error) {
	key, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return nil, fmt.Errorf("client token: %w", err)
	}
	sum := md5.Sum(key) // the protocol asks for it
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Tus-Resumable", "1.0.0")
	r.Header.Set(upload.HeaderAlgorithm, "AES256")
	if body != nil {
		r.Header.Set("Content-Type", "application/offset+octet-stream")
		r.Header.Set("Upload-Offset", strconv.FormatInt(u.offset, 10))
		r.Header.Set("Upload-Length", strconv.FormatInt(u.size, 10))
		r.Header.Set(upload.HeaderKey, token)
		r.Header.Set(upload.HeaderKeyMD5, base64.StdEncoding.EncodeToString(sum[:]))
		if r.ContentLength = u.size - u.offset; r.ContentLength == 0 {
			r.Body = http.NoBody
		}
	}
	res, err := u.c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	switch {
	case res.StatusCode == http.StatusOK || res.StatusCode == http.StatusNoContent:
		return res.Header, nil
	case res.StatusCode >= 500, res.StatusCode == http.StatusConflict, res.StatusCode == http.StatusLocked, res.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("the server answered %s: %s", res.Status, text)
	}
	return nil, &refusedError{fmt.Sprintf("the server answered %s: %s", res.Status, text)}
}
