package s3

import (
	"errors"
	"net/http"
	"testing"

	"github.com/minio/minio-go/v7"

	"kith/blob"
)

// What may go when it is made again is told from what may not.
func TestErrorsOfTheServer(t *testing.T) {
	for status, want := range map[int]error{
		http.StatusNotFound: blob.ErrNotFound, http.StatusConflict: blob.ErrUnavailable, http.StatusTooManyRequests: blob.ErrUnavailable,
		http.StatusInternalServerError: blob.ErrUnavailable, http.StatusServiceUnavailable: blob.ErrUnavailable, http.StatusForbidden: nil, http.StatusBadRequest: nil,
	} {
		err := convert(t.Context(), minio.ErrorResponse{StatusCode: status})
		for _, kind := range []error{blob.ErrNotFound, blob.ErrUnavailable} {
			if err == nil || errors.Is(err, kind) != (kind == want) {
				t.Errorf("%d is %v, want %v", status, err, want)
			}
		}
	}
}
