package server

import (
	"encoding/xml"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"kith/access"
	"kith/sigv4"
)

// Tools ask who they are before they begin: STS's GetCallerIdentity. It speaks AWS's query protocol, so its requests go to "/", where no
// operation of the API is: a form in the body, or in the query. Its keys and signatures are those of the API, signed for service sts.

// queryBody bounds the body of a request in the query protocol.
const queryBody = 16 << 10

const (
	stsVersion   = "2011-06-15"
	stsNamespace = "https://sts.amazonaws.com/doc/" + stsVersion + "/"
	callerAction = "GetCallerIdentity"
)

// isQuery says whether a request speaks the query protocol.
func isQuery(r *http.Request) bool {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return false
	}
	if strings.HasPrefix(r.URL.RawQuery, "Action=") || strings.Contains(r.URL.RawQuery, "&Action=") {
		return true
	}
	form, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return r.Method == http.MethodPost && form == "application/x-www-form-urlencoded"
}

// callerIdentity is the answer of GetCallerIdentity.
type callerIdentity struct {
	XMLName   xml.Name `xml:"GetCallerIdentityResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Arn       string   `xml:"GetCallerIdentityResult>Arn"`
	UserID    string   `xml:"GetCallerIdentityResult>UserId"`
	Account   string   `xml:"GetCallerIdentityResult>Account"`
	RequestID string   `xml:"ResponseMetadata>RequestId"`
}

// serveQuery answers a request in the query protocol. Whoever has a key may ask who it is: no policy is asked, as on AWS.
func (s *Server) serveQuery(w http.ResponseWriter, r *http.Request, requestID string, name *string) error {
	body := heldBody{budget: &s.bodies}
	defer body.release()
	who, err := s.authenticate(w, r, &s.callers, queryBody, &body)
	if err != nil {
		body.release()
		s.drain(w, r)
		if who.Service != "" && who.Service != stsService {
			return &sigv4.Error{Code: sigv4.InvalidSignature, Message: "The request is signed for service " + quoted(who.Service) + "; here requests to sts are answered, signed for it."}
		}
		return err
	}
	defer working(r)()
	text := string(body.bytes)
	if text == "" { // of a GET, or of a pre-signed URL
		text = r.URL.RawQuery
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return queryFault(http.StatusBadRequest, "MalformedQueryString", "The parameters can't be parsed: send them as a form is sent.")
	}
	switch action, version := form.Get("Action"), form.Get("Version"); {
	case action == "":
		return queryFault(http.StatusBadRequest, "MissingAction", "The parameter Action is missing.")
	case action != callerAction || version != stsVersion:
		return queryFault(http.StatusBadRequest, "InvalidAction", "Could not find operation "+quoted(action)+" for version "+quoted(version)+"; of STS Kith has "+callerAction+" of "+stsVersion+" only, for its keys last until they are deleted.")
	}
	*name = callerAction
	if err := s.limiter.allow("", callerAction); err != nil {
		return err
	}
	return writeXML(w, http.StatusOK, &callerIdentity{
		Namespace: stsNamespace, Arn: "arn:aws:iam::" + access.AccountID + ":user/" + who.AccessKeyID, UserID: who.AccessKeyID,
		Account: access.AccountID, RequestID: requestID,
	})
}

// stsService is the service that requests of the query protocol are signed for.
const stsService = "sts"

// quoted shortens what a stranger has sent.
func quoted(text string) string {
	const most = 64
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return "'" + text + "'"
}

func writeXML(w http.ResponseWriter, status int, answer any) error {
	b, err := xml.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), b...))
	return nil
}
