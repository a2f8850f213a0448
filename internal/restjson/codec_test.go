package restjson

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// A text is written as the general encoder writes it, whichever of its bytes need more than themselves.
func TestTextsAreQuoted(t *testing.T) {
	texts := []string{"", "plain", "Zoë", "a\u2028b", "<&>", "\xff", "end\xc3", "Ω\x7f"}
	for c := range 256 {
		texts = append(texts, string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'}))
	}
	for _, text := range texts {
		want, _ := jsontext.AppendQuote([]byte("x"), text)
		if got := AppendString([]byte("x"), text); string(got) != string(want) {
			t.Errorf("%q is written as %s, want %s", text, got, want)
		}
	}
}
