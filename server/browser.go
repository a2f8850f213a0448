package server

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"kith/fault"
)

// A browser sends the requests of any page it shows to any server it reaches, this one included. Two rules keep pages out:
//
// Pages of other origins read answers only if the operator has listed their origin (CORS, off by default). A signature is asked of
// them as of everybody.
//
// In development mode nobody signs, so it is the sender that counts: requests of pages are refused unless they are the server's own or
// their origin is listed, and so are requests to a name that is not this machine's. Such a name may be one that a page has had resolved to
// this machine after it was loaded (DNS rebinding), which makes the page look like the server's own.

// corsLife is how long, in seconds, a browser may remember that a request is allowed.
const corsLife = 3600

// exposed are the headers of answers that a page may read: those that SDKs look at, and those of uploads.
var exposed = []string{"Content-Disposition", "Date", "ETag", "Retry-After", "X-Amzn-Errortype", "X-Amzn-Requestid", "X-Amz-Request-Id", tusExposed}

// newCORS answers browsers for pages of the given origins; nil without any.
func newCORS(origins []string) *cors.Cors {
	if len(origins) == 0 {
		return nil // the library would take it for all
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"*"}, // SigV4 has its own, each SDK others, uploads more: whatever is asked for is named in the answer
		ExposedHeaders: exposed,
		MaxAge:         corsLife,
	})
}

// CheckOrigin says whether a text is an origin as browsers send it, or "*" for all of them.
func CheckOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return origin == "*" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && !strings.Contains(u.Host, "*") && origin == u.Scheme+"://"+u.Host
}

// browser answers what a page may not ask for, and the questions that browsers ask before they send a page's request. It returns
// what it has answered with, for the metrics, or "" when the request goes on.
func (s *Server) browser(w http.ResponseWriter, r *http.Request, requestID string) (answered string) {
	if s.AnyKey {
		if err := s.foreign(r, "Development mode"); err != nil {
			writeError(w, r, s.Log, requestID, err)
			return "foreign"
		}
	}
	if s.cors == nil {
		return ""
	}
	s.cors.HandlerFunc(w, r)
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		return "preflight"
	}
	return ""
}

// foreign refuses requests that a page of another origin may have made, and those to a name that is not this machine's. what is what asks, for
// the message.
func (s *Server) foreign(r *http.Request, what string) error {
	public, _ := url.Parse(s.PublicURL)
	if !loopbackName(r.Host) && (public == nil || public.Host == "" || !strings.EqualFold(public.Host, r.Host)) {
		return fault.AccessDeniedf("%s answers only where it is addressed as this machine: localhost, 127.0.0.1 or [::1], or the host of --public-url, but not %q.", what, r.Host)
	}
	if origins := r.Header.Values("Origin"); len(origins) > 0 {
		if len(origins) == 1 && s.known(origins[0], r) {
			return nil
		}
		return fault.AccessDeniedf("%s takes no requests from web pages of %q. List their origin in --cors-origins to allow that.", what, strings.Join(origins, ", "))
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "", "none", "same-origin": // no browser, its user, or a page of this server
		return nil
	default:
		return fault.AccessDeniedf("%s takes no requests from web pages of other origins (Sec-Fetch-Site: %s).", what, site)
	}
}

// known says whether an origin is the server's own or listed.
func (s *Server) known(origin string, r *http.Request) bool {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	own := []string{scheme + "://" + r.Host, strings.TrimSuffix(s.PublicURL, "/")}
	return slices.ContainsFunc(append(own, s.Origins...), func(o string) bool { return o != "" && strings.EqualFold(o, origin) })
}

// loopbackName says whether a Host header names this machine, whatever resolves names.
func loopbackName(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
