package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// leaf is told of a scalar that is not empty: its path and its text. Its error ends the walk.
type leaf func(path, text string) error

// leaves calls do for every scalar of an object. What lies in a list has the list's path. null and "" are nothing.
func leaves(object []byte, do leaf) error {
	d := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true))
	if err := walk(d, nil, do); err != nil {
		return fmt.Errorf("read an object: %w", err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("an object has more than one JSON value")
	}
	return nil
}

func walk(d *jsontext.Decoder, path []byte, do leaf) error {
	tok, err := d.ReadToken()
	if err != nil {
		return err
	}
	switch tok.Kind() {
	case '{':
		return walkMembers(d, path, do)
	case '[':
		for d.PeekKind() != ']' {
			if err := walk(d, path, do); err != nil {
				return err
			}
		}
		_, err = d.ReadToken()
		return err
	case 'n':
		return nil
	}
	if text := tok.String(); text != "" && len(path) > 0 {
		return do(string(path), text)
	}
	return nil
}

// walkMembers reads the members of an object behind its brace.
func walkMembers(d *jsontext.Decoder, path []byte, do leaf) error {
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		at := path
		if len(path) > 0 {
			at = append(at, '.')
		}
		if err := walk(d, append(at, name.String()...), do); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// parseNumber reads a text that is a decimal number, as JSON and people write it.
func parseNumber(text string) (float64, bool) {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsInf(f, 0)
}
