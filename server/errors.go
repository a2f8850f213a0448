package server

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"log/slog"
	"net/http"

	"kith/fault"
	"kith/internal/restjson"
	"kith/sigv4"
)

// This file alone knows status codes and error bodies.

// edgeError is an error that exists only at the edge: the API's model has no exception for it.
type edgeError struct {
	status  int
	code    string
	message string
	header  http.Header
	// lower says that the member is "message": errors of the front door are written so.
	lower bool
}

func (e *edgeError) Error() string { return e.code + ": " + e.message }

func notImplemented(op string) error {
	return &edgeError{status: http.StatusNotImplemented, code: "NotImplementedException", message: "Operation " + op + " is not implemented by this version of Kith."}
}

func unknownOperation() error {
	return &edgeError{status: http.StatusNotFound, code: "UnknownOperationException", message: "No operation has this path."}
}

func methodNotAllowed(allow string) error {
	return &edgeError{status: http.StatusMethodNotAllowed, code: "MethodNotAllowedException", message: "No operation has this method and path; allowed here: " + allow + ".", header: http.Header{"Allow": {allow}}}
}

func bodyTooLarge(limit int64) error {
	return &edgeError{status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLargeException", message: "The request body is larger than " + bytesText(limit) + "."}
}

func busy() error {
	return &edgeError{status: http.StatusServiceUnavailable, code: "ServiceUnavailableException", message: "The server holds as many request bodies as it has memory for. Send the request again in a second.", header: http.Header{"Retry-After": {"1"}}}
}

// faultStatus is the model's status of each kind.
var faultStatus = map[fault.Kind]int{
	fault.BadRequest:   http.StatusBadRequest,
	fault.AccessDenied: http.StatusForbidden,
	fault.NotFound:     http.StatusNotFound,
	fault.Throttled:    http.StatusTooManyRequests,
	fault.Internal:     http.StatusInternalServerError,
}

// internalText is all a caller learns of an internal error; the rest is in the log under the request id.
const internalText = "The server could not complete the request. The log has the reason under this request id."

// unavailableText is the hint for errors that may be gone when the request comes again.
const unavailableText = "The server's storage does not answer at the moment. Send the request again in a few seconds. The log has the reason under this request id."

// unknownText is the hint for calls of which nobody knows whether they have happened: what was asked of the storage has not been answered.
const unknownText = "The server's storage has not said whether the request was carried out. Look before you send it again, or send it again where that does no harm. The log has the reason under this request id."

// classify turns any error into what the caller sees. internal says that the error itself belongs into the log.
func classify(err error) (e *edgeError, internal bool) {
	if e, ok := errors.AsType[*edgeError](err); ok {
		return e, false
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return &edgeError{status: faultStatus[f.Kind], code: string(f.Kind), message: f.Message}, f.Kind == fault.Internal
	}
	if s, ok := errors.AsType[*sigv4.Error](err); ok {
		code := string(s.Code)
		switch s.Code {
		case sigv4.ExpiredRequest:
			code = string(sigv4.InvalidSignature)
		case sigv4.TwoSignatures:
			code = string(sigv4.Incomplete)
		}
		return &edgeError{status: http.StatusForbidden, code: code, message: s.Message, lower: true}, false
	}
	if s, ok := errors.AsType[*restjson.SyntaxError](err); ok {
		return &edgeError{status: http.StatusBadRequest, code: "SerializationException", message: s.Message}, false
	}
	if errors.Is(err, fault.ErrUnknown) {
		return &edgeError{status: http.StatusInternalServerError, code: string(fault.Internal), message: unknownText, header: http.Header{"Retry-After": {"2"}}}, true
	}
	if errors.Is(err, fault.ErrUnavailable) {
		return &edgeError{status: http.StatusInternalServerError, code: string(fault.Internal), message: unavailableText, header: http.Header{"Retry-After": {"2"}}}, true
	}
	if errors.Is(err, context.Canceled) {
		return &edgeError{status: 499, code: string(fault.Internal), message: "The client closed the request."}, false
	}
	return &edgeError{status: http.StatusInternalServerError, code: string(fault.Internal), message: internalText}, true
}

// writeError answers with an error in the API's form.
func writeError(w http.ResponseWriter, r *http.Request, log *slog.Logger, requestID string, err error) int {
	e, internal := classify(err)
	if internal {
		log.Error("request failed", "request", requestID, "method", r.Method, "error", err)
	}
	body := map[string]string{"Message": e.message, "__type": e.code}
	if e.lower {
		body = map[string]string{"message": e.message, "__type": e.code}
	}
	b, encodeErr := restjson.Encode(body)
	if encodeErr != nil { // no text can bring it about
		log.Error("an error could not be encoded", "request", requestID, "error", encodeErr)
	}
	for k, v := range e.header {
		w.Header()[k] = v
	}
	w.Header().Set("X-Amzn-Errortype", e.code)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	_, _ = w.Write(b)
	return e.status
}

// queryCodes are AWS's names in the query protocol for errors that the API's protocol names otherwise.
var queryCodes = map[string]string{
	string(sigv4.MissingToken):       "MissingAuthenticationToken",
	string(sigv4.Incomplete):         "IncompleteSignature",
	string(sigv4.InvalidSignature):   "SignatureDoesNotMatch",
	string(sigv4.UnrecognizedClient): "InvalidClientTokenId",
	string(fault.Throttled):          "Throttling",
	string(fault.Internal):           "InternalFailure",
	"SerializationException":         "MalformedQueryString",
	"ServiceUnavailableException":    "ServiceUnavailable",
	"RequestEntityTooLargeException": "RequestEntityTooLarge",
}

// queryFault is an error of the query protocol alone.
func queryFault(status int, code, message string) error {
	return &edgeError{status: status, code: code, message: message}
}

// queryError is an error in the form of the query protocol.
type queryError struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"` // who is to blame
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// writeQueryError answers with an error in the form of the query protocol.
func writeQueryError(w http.ResponseWriter, r *http.Request, log *slog.Logger, requestID string, err error) {
	e, internal := classify(err)
	if internal {
		log.Error("request failed", "request", requestID, "method", r.Method, "error", err)
	}
	answer := queryError{Namespace: stsNamespace, Type: "Sender", Code: cmp.Or(queryCodes[e.code], e.code), Message: e.message, RequestID: requestID}
	if e.status >= http.StatusInternalServerError {
		answer.Type = "Receiver"
	}
	for k, v := range e.header {
		w.Header()[k] = v
	}
	if err := writeXML(w, e.status, &answer); err != nil { // no text can bring it about
		log.Error("an error could not be encoded", "request", requestID, "error", err)
	}
}

// s3Error is an error of the upload path, in the form of S3.
type s3Error struct {
	XMLName   xml.Name `xml:"Error"`
	Status    int      `xml:"-"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
}

func (e *s3Error) Error() string { return e.Code + ": " + e.Message }

func s3Fault(status int, code, message string) error {
	return &s3Error{Status: status, Code: code, Message: message}
}

// writeS3Error answers with an error in the form of S3.
func writeS3Error(w http.ResponseWriter, r *http.Request, log *slog.Logger, requestID string, err error) int {
	e, ok := errors.AsType[*s3Error](err)
	if !ok {
		s, signed := errors.AsType[*sigv4.Error](err)
		switch {
		case signed && s.Code == sigv4.ExpiredRequest:
			e = &s3Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "Request has expired. Call GetUploadJobPath for a fresh Url."}
		case signed && s.Code == sigv4.TwoSignatures:
			e = &s3Error{Status: http.StatusBadRequest, Code: "InvalidArgument", Message: s.Message}
		case signed && s.Code == sigv4.MissingToken:
			e = &s3Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: "The request carries no signature. Use the whole Url of GetUploadJobPath, with its query."}
		case signed:
			e = &s3Error{Status: http.StatusForbidden, Code: "SignatureDoesNotMatch", Message: s.Message + " Use the Url of GetUploadJobPath exactly as it is, with method PUT."}
		case errors.Is(err, fault.NotFound):
			e = &s3Error{Status: http.StatusNotFound, Code: "NoSuchUpload", Message: fault.Message(err)}
		default:
			log.Error("upload failed", "request", requestID, "method", r.Method, "error", err)
			e = &s3Error{Status: http.StatusInternalServerError, Code: "InternalError", Message: internalText}
		}
	}
	answer := *e
	answer.RequestID = requestID
	b, marshalErr := xml.Marshal(&answer)
	if marshalErr != nil {
		b = nil
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.Status)
	_, _ = w.Write(append([]byte(xml.Header), b...))
	return e.Status
}
