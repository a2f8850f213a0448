package server

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"kith/api"
	"kith/fault"
	"kith/internal/restjson"
)

// pageLife is how long a page token is good for.
const pageLife = 24 * time.Hour

// paging is the page token of one request. A token is bound to operation, domain and filter: everything of the request but the token itself
// and the page size.
type paging struct {
	s  *Server
	op api.Operation
	r  *http.Request
	// labels are those of its path.
	labels *labels
	in     restjson.PagedInput // nil when the operation has no pages
}

// openPage replaces the NextToken of a request by the cursor sealed in it.
func (s *Server) openPage(op api.Operation, r *http.Request, labels *labels, in restjson.Input) (paging, error) {
	paged, _ := in.(restjson.PagedInput)
	p := paging{s, op, r, labels, paged}
	if paged == nil {
		return p, nil
	}
	token, _ := paged.PageToken()
	if *token == nil {
		return p, nil
	}
	binding, err := p.binding()
	if err != nil {
		return p, err
	}
	invalid := fault.BadRequestf("NextToken is not valid: use the token of the previous page with the same request, within a day.")
	raw, err := base64.RawURLEncoding.DecodeString(**token)
	if err != nil {
		return p, invalid
	}
	plain, err := s.Sealer.Open("page token", binding, raw)
	if err != nil || len(plain) < 8 {
		return p, invalid
	}
	until := int64(0)
	for _, b := range plain[:8] {
		until = until<<8 | int64(b)
	}
	if s.Now().Unix() > until {
		return p, invalid
	}
	cursor := string(plain[8:])
	*token = &cursor
	return p, nil
}

// binding is what a token of the request is sealed with. Only requests that have a token, or whose answer gets one, pay for it.
func (p paging) binding() (string, error) {
	token, limit := p.in.PageToken()
	sealed := *token
	*token = nil
	var kept *int32
	if limit != nil {
		kept, *limit = *limit, nil
	}
	filter, err := json.Marshal(p.in, json.Deterministic(true))
	*token = sealed
	if limit != nil {
		*limit = kept
	}
	query := p.r.URL.Query()
	query.Del("next-token")
	query.Del("max-results")
	sum := sha256.Sum256([]byte(p.r.URL.EscapedPath() + "\x00" + query.Encode() + "\x00" + string(filter)))
	return p.op.Name + "\x00" + p.labels.PathValue("DomainName") + "\x00" + string(sum[:]), err
}

// seal replaces the cursor of an answer by a token.
func (p paging) seal(out any) error {
	paged, ok := out.(restjson.PagedOutput)
	if !ok || p.in == nil {
		return nil
	}
	next := paged.NextPage()
	if *next == nil {
		return nil
	}
	binding, err := p.binding()
	if err != nil {
		return err
	}
	until := p.s.Now().Add(pageLife).Unix()
	var plain []byte
	for shift := 56; shift >= 0; shift -= 8 {
		plain = append(plain, byte(until>>shift))
	}
	sealed := base64.RawURLEncoding.EncodeToString(p.s.Sealer.Seal("page token", binding, append(plain, **next...)))
	*next = &sealed
	return nil
}
