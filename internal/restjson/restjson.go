// Package restjson is the hand-written runtime below the generated code of package api: binding of path labels and query
// parameters, timestamps, and the checks of the model's constraints.
//
// The protocol is AWS rest-json: JSON bodies with case-sensitive member names, timestamps as epoch seconds.
package restjson

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Time is a timestamp on the wire: a JSON number of epoch seconds, three decimals.
type Time struct{ time.Time }

// At wraps t for the wire.
func At(t time.Time) *Time { return &Time{t} }

// MarshalJSONTo writes epoch seconds with three decimals, so that every SDK reads milliseconds.
func (t Time) MarshalJSONTo(enc *jsontext.Encoder) error {
	ms := t.UnixMilli()
	return enc.WriteValue(strconv.AppendFloat(nil, float64(ms)/1000, 'f', 3, 64))
}

// UnmarshalJSONFrom reads epoch seconds, fraction allowed.
func (t *Time) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return err
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.Abs(f) > 1e12 {
		return errors.New("a timestamp must be a number of seconds since 1970")
	}
	t.Time = time.UnixMilli(int64(math.Round(f * 1000))).UTC()
	return nil
}

// Input is what every generated request type is.
type Input interface {
	// BindRequest reads the members that travel in the path and the query.
	BindRequest(*Binder)
	// Validate reports every constraint of the model that the request breaks.
	Validate(*Violations)
}

// PagedInput is a request with a NextToken.
type PagedInput interface {
	Input
	// PageToken points at the NextToken and MaxResults members.
	PageToken() (token **string, maxResults **int32)
}

// PagedOutput is an answer with a NextToken.
type PagedOutput interface{ NextPage() **string }

// Stream is a body that is written while it is made.
type Stream struct {
	ContentType string
	FileName    string // suggested to who saves it
	Write       func(io.Writer) error
}

// StreamOutput is an answer whose body is no JSON.
type StreamOutput interface{ Payload() *Stream }

// StatusOutput is an answer that sets its own HTTP status.
type StatusOutput interface{ HTTPStatus() int }

// SyntaxError says that a request could not be read at all. Its text quotes nothing of the request's values.
type SyntaxError struct{ Message string }

func (e *SyntaxError) Error() string { return e.Message }

// Binder reads path labels and query parameters into members. The first value that can't be read is kept in Err.
type Binder struct {
	labels Labels
	query  url.Values
	Err    error

	room [2]string // for the first labels
	used int
}

// Labels has the values of a path's labels. A *http.Request is one.
type Labels interface{ PathValue(name string) string }

// begin begins with r and the labels of its path. A query that can't be parsed is a SyntaxError.
func (b *Binder) begin(r *http.Request, labels Labels) {
	*b = Binder{labels: labels}
	if r.URL.RawQuery == "" {
		return
	}
	var err error
	if b.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		b.Err = &SyntaxError{"the query string can't be parsed"}
	}
	for name, values := range b.query {
		if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(values, "")) {
			b.Err = &SyntaxError{"the query string is not valid UTF-8"}
		}
	}
}

// Path binds a path label.
func (b *Binder) Path(name string, dst **string) {
	if b.used == len(b.room) {
		v := b.labels.PathValue(name)
		*dst = &v
		return
	}
	v := &b.room[b.used]
	b.used++
	*v = b.labels.PathValue(name)
	*dst = v
}

// QueryString binds an optional query parameter.
func (b *Binder) QueryString(name string, dst **string) {
	if v, ok := b.query[name]; ok && len(v) > 0 {
		*dst = &v[0]
	}
}

// QueryStrings binds a repeated query parameter.
func (b *Binder) QueryStrings(name string, dst *[]string) {
	if v, ok := b.query[name]; ok {
		*dst = v
	}
}

// QueryInt binds an optional integer query parameter.
func (b *Binder) QueryInt(name string, dst **int32) {
	v, ok := b.query[name]
	if !ok || len(v) == 0 {
		return
	}
	n, err := strconv.ParseInt(v[0], 10, 32)
	if err != nil {
		b.fail(&SyntaxError{fmt.Sprintf("query parameter %s must be an integer", name)})
		return
	}
	i := int32(n)
	*dst = &i
}

// QueryBool binds an optional boolean query parameter.
func (b *Binder) QueryBool(name string, dst **bool) {
	v, ok := b.query[name]
	if !ok || len(v) == 0 {
		return
	}
	t, err := strconv.ParseBool(v[0])
	if err != nil {
		b.fail(&SyntaxError{fmt.Sprintf("query parameter %s must be true or false", name)})
		return
	}
	*dst = &t
}

func (b *Binder) fail(err error) {
	if b.Err == nil {
		b.Err = err
	}
}

// Reader is what reading a request needs memory for. Its zero value is ready. What was read keeps it.
type Reader struct {
	decoder Decoder
	binder  Binder
}

// Decode reads body into in: members of the path from labels and of the query from r, the rest from the JSON body. An empty body is {}.
// It returns a SyntaxError for what can't be read.
func (rd *Reader) Decode(r *http.Request, labels Labels, body []byte, in Input) error {
	if len(body) > 0 && !rd.decoder.fast(body, in) {
		if err := json.Unmarshal(body, in, json.RejectUnknownMembers(false)); err != nil {
			return &SyntaxError{describe(err)}
		}
	}
	rd.binder.begin(r, labels)
	in.BindRequest(&rd.binder)
	return rd.binder.Err
}

// Encode returns the JSON body of out. Bytes of a text that are not UTF-8 become U+FFFD: whatever a text holds, there is an answer.
func Encode(out any) ([]byte, error) {
	return Append(nil, out)
}

// Append is Encode behind what is in dst.
func Append(dst []byte, out any) ([]byte, error) {
	if a, ok := out.(JSONAppender); ok {
		return a.AppendJSON(slices.Grow(dst, 1024)), nil
	}
	b, err := json.Marshal(out, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	return append(dst, b...), err
}

// describe says where a JSON body is wrong without quoting values.
func describe(err error) string {
	if se, ok := errors.AsType[*json.SemanticError](err); ok {
		where := string(se.JSONPointer)
		if where == "" {
			where = "/"
		}
		kind := se.JSONKind.String()
		if kind == "" || se.JSONKind == 0 {
			kind = "value"
		}
		return fmt.Sprintf("the JSON %s at %s has the wrong type or range", kind, where)
	}
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Sprintf("the JSON object has a duplicate member name at byte %d", se.ByteOffset)
		}
		return fmt.Sprintf("the body is not valid JSON: error at byte %d", se.ByteOffset)
	}
	return "the body could not be parsed as JSON"
}
