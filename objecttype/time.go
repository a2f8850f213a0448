package objecttype

import (
	"errors"
	"strconv"
	"strings"
)

// timeFormat reads the times of a type's SourceLastUpdatedTimestampFormat.
type timeFormat struct {
	pattern string
	parse   func(text string) (micros int64, ok bool)
}

// parseTimeFormat reads a SourceLastUpdatedTimestampFormat. The error is a sentence.
func parseTimeFormat(pattern string) (*timeFormat, error) {
	if pattern != "EpochMilli" {
		return nil, errors.New("must be EpochMilli")
	}
	return &timeFormat{pattern: pattern, parse: func(text string) (int64, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		return n * 1000, err == nil && n > -1<<52 && n < 1<<52
	}}, nil
}
