package wire

import (
	"bufio"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"kith/access"
	"kith/api"
	"kith/node"
	"kith/server"
	"kith/upload"
)

// raw sends a request as it is written, over a connection of its own, as a browser or an attacker would.
func raw(t *testing.T, address, text string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head, body, _ := strings.Cut(text, "\n\n")
	head = strings.ReplaceAll(head, "\n", "\r\n")
	if body != "" {
		head += fmt.Sprintf("\r\nContent-Length: %d", len(body))
	}
	if _, err := io.WriteString(conn, head+"\r\nConnection: close\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

// In development mode the server does what it is asked from this machine, and nothing that a web page asks for.
func TestDevelopmentModeIsNoWebPages(t *testing.T) {
	n := startNodeWith(t, server.Config{AnyKey: true, PublicURL: "https://kith.example.com", Origins: []string{"http://localhost:3000"}})
	web := httptest.NewServer(n.Handler)
	t.Cleanup(web.Close)
	address := web.Listener.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	root := access.With(t.Context(), access.Identity{Root: true})
	exists := func() bool {
		_, err := n.Domains.GetDomain(root, &api.GetDomainRequest{DomainName: api.Ptr("shop")})
		return err == nil
	}
	// What everybody may send in development mode: a header that nobody signed.
	auth := func() string {
		now := n.Now().UTC().Format("20060102T150405Z")
		return "Authorization: AWS4-HMAC-SHA256 Credential=x/" + now[:8] + "/us-east-1/profile/aws4_request, SignedHeaders=host;x-amz-date, Signature=x\nX-Amz-Date: " + now + "\n"
	}
	for name, c := range map[string]struct {
		headers string // {port} is the server's
		allowed bool
	}{
		"no browser":                        {"Host: 127.0.0.1:{port}", true},
		"by name":                           {"Host: localhost:{port}", true},
		"by name, in capitals":              {"Host: LOCALHOST:{port}", true},
		"by IPv6":                           {"Host: [::1]:{port}", true},
		"through a forwarded port":          {"Host: localhost:1", true},
		"without a port":                    {"Host: localhost", true},
		"by the public name":                {"Host: kith.example.com", true},
		"a page of the server":              {"Host: localhost:{port}\nOrigin: http://localhost:{port}\nSec-Fetch-Site: same-origin", true},
		"a page of the public name":         {"Host: kith.example.com\nOrigin: https://kith.example.com", true},
		"the address bar":                   {"Host: localhost:{port}\nSec-Fetch-Site: none", true},
		"a listed origin":                   {"Host: localhost:{port}\nOrigin: http://localhost:3000\nSec-Fetch-Site: same-site", true},
		"a foreign page":                    {"Host: 127.0.0.1:{port}\nOrigin: https://evil.example.com", false},
		"a foreign page that hides":         {"Host: 127.0.0.1:{port}\nOrigin: null", false},
		"a foreign page, no Origin":         {"Host: 127.0.0.1:{port}\nSec-Fetch-Site: cross-site", false},
		"a page of another port":            {"Host: localhost:{port}\nOrigin: http://localhost:8000", false},
		"a page of another port, no Origin": {"Host: localhost:{port}\nSec-Fetch-Site: same-site", false},
		"a listed page without Origin":      {"Host: localhost:{port}\nSec-Fetch-Site: cross-site\nReferer: http://localhost:3000/", false},
		"a page of the same name over TLS":  {"Host: localhost:{port}\nOrigin: https://localhost:{port}", false},
		"two origins, one of them listed":   {"Host: localhost:{port}\nOrigin: http://localhost:3000\nOrigin: https://evil.example.com", false},
		"an origin that begins like ours":   {"Host: localhost:{port}\nOrigin: http://localhost:3000.evil.example.com", false},
		"what no browser sends":             {"Host: localhost:{port}\nSec-Fetch-Site: x", false},
		"a name resolved anew":              {"Host: evil.example.com:{port}", false},
		"a name resolved anew, same origin": {"Host: evil.example.com:{port}\nOrigin: http://evil.example.com:{port}\nSec-Fetch-Site: same-origin", false},
		"a name that begins like ours":      {"Host: localhost.evil.example.com:{port}", false},
		"a name with our address in it":     {"Host: 127.0.0.1.evil.example.com", false},
		"the public name at another port":   {"Host: kith.example.com:81", false},
		"no address":                        {"Host: 0.0.0.0:{port}", false},
		"an empty name":                     {"Host:", false},
		"another machine":                   {"Host: 192.168.0.7:{port}", false},
		"the listed origin at another name": {"Host: evil.example.com\nOrigin: http://localhost:3000", false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := n.Domains.CreateDomain(root, &api.CreateDomainRequest{DomainName: api.Ptr("shop"), DefaultExpirationDays: api.Ptr(int32(1))}); err != nil && !exists() {
				t.Fatal(err)
			}
			headers := strings.ReplaceAll(c.headers, "{port}", port)
			res, body := raw(t, address, "GET /domains HTTP/1.1\n"+headers+"\n"+auth())
			if read := strings.Contains(body, "shop"); read != c.allowed {
				t.Errorf("reading: %s %s", res.Status, body)
			}
			if !c.allowed && (res.StatusCode != http.StatusForbidden || res.Header.Get("X-Amzn-Errortype") != "AccessDeniedException") {
				t.Errorf("%s %v %s", res.Status, res.Header, body)
			}
			raw(t, address, "DELETE /domains/shop HTTP/1.1\n"+headers+"\n"+auth())
			if exists() == c.allowed {
				t.Errorf("deleting: the domain is there: %t", exists())
			}
			for _, path := range []string{"/healthz", "/metrics", "/upload/shop/x"} {
				if res, _ := raw(t, address, "GET "+path+" HTTP/1.1\n"+headers+"\n"); !c.allowed && res.StatusCode != http.StatusForbidden {
					t.Errorf("%s: %s", path, res.Status)
				}
			}
		})
	}
	if res, body := raw(t, address, "GET /domains HTTP/1.0\n"+auth()); res.StatusCode != http.StatusForbidden {
		t.Errorf("HTTP/1.0 without a Host: %s %s", res.Status, body)
	}
}

// Without development mode, metrics that are open to this machine are not open to the pages its browsers show.
func TestMetricsAreNotForWebPages(t *testing.T) {
	web := httptest.NewServer(startNode(t).Handler)
	t.Cleanup(web.Close)
	address := web.Listener.Addr().String()
	for headers, want := range map[string]int{
		"Host: " + address: 200, "Host: evil.example.com": 403, "Host: " + address + "\nOrigin: https://evil.example.com": 403, "Host: " + address + "\nSec-Fetch-Site: cross-site": 403,
	} {
		if res, _ := raw(t, address, "GET /metrics HTTP/1.1\n"+headers); res.StatusCode != want {
			t.Errorf("%q: %s, want %d", headers, res.Status, want)
		}
	}
}

// The headers that SDKs in browsers send, and those of uploads, both forms.
const (
	sdkHeaders = "amz-sdk-invocation-id,amz-sdk-request,authorization,content-type,x-amz-content-sha256,x-amz-date,x-amz-security-token,x-amz-user-agent"
	putHeaders = "content-md5,content-type,x-amz-server-side-encryption-customer-algorithm,x-amz-server-side-encryption-customer-key,x-amz-server-side-encryption-customer-key-md5"
	tusHeaders = "content-type,tus-resumable,upload-checksum,upload-length,upload-offset,x-amz-server-side-encryption-customer-algorithm,x-amz-server-side-encryption-customer-key,x-amz-server-side-encryption-customer-key-md5"
)

// Pages of listed origins may use the API and send files; those of others read nothing. A signature is needed all the same.
func TestCORS(t *testing.T) {
	const app = "https://app.example.com"
	n := startNodeWith(t, server.Config{Local: &access.Key{ID: "WIRE", Secret: "secret"}, Origins: []string{app, "http://localhost:3000"}})
	web := httptest.NewServer(n.Handler)
	t.Cleanup(web.Close)
	address := web.Listener.Addr().String()

	for name, c := range map[string]struct{ method, path, headers string }{
		"an operation":        {"POST", "/domains/shop/profiles/search", sdkHeaders},
		"a deletion":          {"DELETE", "/domains/shop", sdkHeaders},
		"a change":            {"PATCH", "/domains/shop/recommenders/x", sdkHeaders},
		"a file":              {"PUT", "/upload/shop/x?X-Amz-Signature=x", putHeaders},
		"a file's part":       {"PATCH", "/upload/shop/x?X-Amz-Signature=x", tusHeaders},
		"where a file stands": {"HEAD", "/upload/shop/x?X-Amz-Signature=x", "tus-resumable"},
		"giving a file up":    {"DELETE", "/upload/shop/x?X-Amz-Signature=x", "tus-resumable"},
	} {
		t.Run(name, func(t *testing.T) {
			preflight := func(origin string) *http.Response {
				res, body := raw(t, address, "OPTIONS "+c.path+" HTTP/1.1\nHost: kith\nOrigin: "+origin+"\nAccess-Control-Request-Method: "+c.method+"\nAccess-Control-Request-Headers: "+c.headers)
				if res.StatusCode != http.StatusNoContent || body != "" {
					t.Errorf("%s: %s %s", origin, res.Status, body)
				}
				return res
			}
			res := preflight(app)
			if res.Header.Get("Access-Control-Allow-Origin") != app || res.Header.Get("Access-Control-Allow-Methods") != c.method ||
				res.Header.Get("Access-Control-Allow-Headers") != c.headers || res.Header.Get("Access-Control-Max-Age") == "" || !strings.Contains(res.Header.Get("Vary"), "Origin") {
				t.Errorf("%v", res.Header)
			}
			if res := preflight("https://evil.example.com"); res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("Access-Control-Allow-Methods") != "" {
				t.Errorf("a page that is not listed: %v", res.Header)
			}
		})
	}
	for origin, want := range map[string]string{app: app, "http://localhost:3000": "http://localhost:3000", "https://evil.example.com": "", "null": "", app + ".evil.example.com": ""} {
		for _, request := range []string{"GET /domains HTTP/1.1", "GET /nowhere HTTP/1.1", "PUT /upload/shop/x HTTP/1.1"} {
			res, body := raw(t, address, request+"\nHost: kith\nOrigin: "+origin)
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != want || res.Header.Get("Access-Control-Allow-Credentials") != "" || res.Header.Get("Vary") != "Origin" {
				t.Errorf("%s from %s: %v", request, origin, res.Header)
			}
			if res.StatusCode != 403 && res.StatusCode != 400 {
				t.Errorf("%s from %s, unsigned: %s %s", request, origin, res.Status, body)
			}
			shown := strings.ToLower(res.Header.Get("Access-Control-Expose-Headers"))
			for _, h := range []string{"x-amzn-errortype", "x-amzn-requestid", "x-amz-request-id", "etag", "upload-offset", "retry-after"} {
				if strings.Contains(shown, h) != (want != "") {
					t.Errorf("%s from %s: %s is readable: %q", request, origin, h, shown)
				}
			}
		}
	}
	putFromPage(t, n, web.URL, app)
}

// putFromPage sends a file as a page would, after its preflight, and reads the answer's ETag.
func putFromPage(t *testing.T, n *node.Node, base, origin string) {
	t.Helper()
	root := access.With(t.Context(), access.Identity{Root: true})
	if _, err := n.Domains.CreateDomain(root, &api.CreateDomainRequest{DomainName: api.Ptr("shop"), DefaultExpirationDays: api.Ptr(int32(1))}); err != nil {
		t.Fatal(err)
	}
	job, err := n.Uploads.CreateUploadJob(root, &api.CreateUploadJobRequest{
		DomainName: api.Ptr("shop"), DisplayName: api.Ptr("x"), UniqueKey: api.Ptr("id"),
		Fields: map[string]api.ObjectTypeField{"id": {Source: api.Ptr("_source.id"), Target: api.Ptr("_profile.AccountNumber"), ContentType: api.Ptr(api.FieldContentType("STRING"))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path, err := n.Uploads.GetUploadJobPath(upload.WithBaseURL(root, base), &api.GetUploadJobPathRequest{DomainName: api.Ptr("shop"), JobId: job.JobId})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(*path.Url)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(*path.ClientToken)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(key)
	address := strings.TrimPrefix(base, "http://")
	res, body := raw(t, address, "PUT "+u.RequestURI()+" HTTP/1.1\nHost: "+u.Host+"\nOrigin: "+origin+
		"\nx-amz-server-side-encryption-customer-algorithm: AES256\nx-amz-server-side-encryption-customer-key: "+*path.ClientToken+
		"\nx-amz-server-side-encryption-customer-key-MD5: "+base64.StdEncoding.EncodeToString(sum[:])+"\n\nid\n1\n")
	if res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(strings.ToLower(res.Header.Get("Access-Control-Expose-Headers")), "etag") || res.Header.Get("ETag") == "" {
		t.Errorf("%s %v %s", res.Status, res.Header, body)
	}
}

// CORS is off unless somebody asks for it, uploads included, and "*" is every page.
func TestCORSIsOff(t *testing.T) {
	for _, c := range []struct {
		origins []string
		want    string
	}{{nil, ""}, {[]string{"*"}, "*"}} {
		web := httptest.NewServer(startNodeWith(t, server.Config{Origins: c.origins}).Handler)
		t.Cleanup(web.Close)
		for _, request := range []string{"OPTIONS /domains HTTP/1.1\nAccess-Control-Request-Method: GET", "OPTIONS /upload/shop/x HTTP/1.1\nAccess-Control-Request-Method: PUT", "GET /domains HTTP/1.1", "PUT /upload/shop/x HTTP/1.1"} {
			res, _ := raw(t, web.Listener.Addr().String(), request+"\nHost: kith\nOrigin: https://app.example.com")
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != c.want {
				t.Errorf("origins %q: %s: %q", c.origins, request, got)
			}
		}
	}
}
