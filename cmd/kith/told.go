package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sys/unix"
)

// told is an error as the person at the command line is told it: one sentence that says what to do. What this program says of its own stays; in the
// place of what libraries and the system say of files, servers and calls, wherever it stands in the chain, comes a sentence that names the thing.
func told(err error) string {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var parts []string
		for _, e := range all.Unwrap() {
			if text := told(e); text != "" && !strings.Contains(strings.Join(parts, "; "), text) {
				parts = append(parts, text)
			}
		}
		if strings.Contains(err.Error(), "\n") { // errors.Join: each is a sentence of its own
			return strings.Join(parts, "; ")
		}
	}
	text := err.Error()
	for ; err != nil; err = errors.Unwrap(err) {
		if plain := sentenceFor(err); plain != "" {
			return strings.Replace(text, err.Error(), plain, 1)
		}
		if all, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range all.Unwrap() {
				text = strings.Replace(text, e.Error(), told(e), 1)
			}
		}
	}
	return text
}

// sentenceFor is what is said in the place of an error that is not of this program's making; "" when it is.
func sentenceFor(err error) string {
	switch e := err.(type) {
	case *smithy.OperationError:
		return ofCall(e)
	case *url.Error:
		return unreachable(e)
	case *fs.PathError:
		return ofFile(e.Path, e.Err)
	case *os.LinkError:
		return ofFile(e.New, e.Err)
	case *os.SyscallError:
		return reasonOf(e.Err)
	}
	if err == context.Canceled {
		return "interrupted"
	}
	return ""
}

// ofCall is why a call through the SDK did not succeed.
func ofCall(e *smithy.OperationError) string {
	if api, ok := errors.AsType[smithy.APIError](e); ok && api.ErrorMessage() != "" {
		switch api.ErrorCode() {
		case "UnrecognizedClientException", "InvalidSignatureException":
			return strings.TrimSuffix(api.ErrorMessage(), ".") + "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, to a key of this server"
		}
		return api.ErrorMessage()
	}
	if u, ok := errors.AsType[*url.Error](e); ok {
		return unreachable(u)
	}
	if errors.Is(e, context.Canceled) {
		return "interrupted"
	}
	if res, ok := errors.AsType[*smithyhttp.ResponseError](e); ok && res.HTTPStatusCode() != 0 {
		return strange(strconv.Itoa(res.HTTPStatusCode()))
	}
	return "the call " + e.Operation() + " could not be made; see whether --endpoint and the credentials are right"
}

// strange is said of a server that speaks another language.
func strange(status string) string {
	return fmt.Sprintf("what answers there (%s) does not speak this API; name a Kith server with --endpoint", status)
}

// unreachable says why a server can't be reached, and what to do.
func unreachable(e *url.Error) string {
	at := e.URL
	if u, err := url.Parse(e.URL); err == nil {
		at = u.Scheme + "://" + u.Host
	}
	if errors.Is(e.Err, context.Canceled) {
		return "interrupted"
	}
	return fmt.Sprintf(`the server at %s can't be reached (%s); start it, or name the right one with --endpoint`, at, reasonOf(e.Err))
}

// ofFile says what is wrong with a file or folder.
func ofFile(path string, err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("there is no %s; see whether the path is right", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("%s can't be used by this user%s; run this as a user who may, or name another path", path, belongsTo(path))
	case errors.Is(err, fs.ErrExist):
		return path + " is there already; name another path"
	}
	return path + ": " + reasonOf(err)
}

// belongsTo says whose a path is, as far as it can be told.
func belongsTo(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return ""
	}
	name := strconv.Itoa(int(st.Uid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return ": it belongs to " + name
}

// reasons are what the system's errors mean.
var reasons = map[syscall.Errno]string{
	unix.ECONNREFUSED: "nothing listens there", unix.ECONNRESET: "the connection was broken off", unix.EPIPE: "the connection was broken off",
	unix.EHOSTUNREACH: "there is no way to that machine", unix.ENETUNREACH: "there is no way to that network", unix.ETIMEDOUT: "it does not answer",
	unix.EADDRINUSE: "something listens there already", unix.EADDRNOTAVAIL: "this machine has no such address",
	unix.ENOSPC: "the disk is full", unix.EDQUOT: "the quota of the disk is used up", unix.EROFS: "the disk can only be read",
	unix.EISDIR: "it is a folder, not a file", unix.ENOTDIR: "a part of the path is a file, not a folder", unix.ENAMETOOLONG: "the name is too long",
	unix.ELOOP: "its links go in circles", unix.EMFILE: "too many files are open", unix.EIO: "the disk fails",
	unix.EACCES: "this user may not", unix.EPERM: "this user may not", unix.ENOENT: "it is not there",
}

// reasonOf is the reason within an error of the system or of the network, in a few words.
func reasonOf(err error) string {
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		if text := reasons[no]; text != "" {
			return text
		}
		return no.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "there is no machine of that name"
	}
	if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "it does not answer in time"
	}
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &cert) || errors.As(err, &unknown) {
		return "its certificate is not trusted"
	}
	if strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return "it speaks http, not https"
	}
	if strings.HasSuffix(err.Error(), "EOF") {
		return "the connection was broken off"
	}
	return err.Error()
}
