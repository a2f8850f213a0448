package sample_test

import (
	"bytes"
	"encoding/csv"
	"testing"

	"kith/internal/sample"
)

func TestWrite(t *testing.T) {
	var a, b, c bytes.Buffer
	for buf, seed := range map[*bytes.Buffer]uint64{&a: 1, &b: 1, &c: 2} {
		if err := sample.Write(buf, 5000, seed); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Fatal("a seed must decide the file")
	}
	records, err := csv.NewReader(&a).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	multiline := 0
	for _, r := range records[1:] {
		ids[r[0]] = true
		if bytes.ContainsRune([]byte(r[15]), '\n') {
			multiline++
		}
	}
	if len(records) != 5001 || len(ids) < 4800 || len(ids) == 5000 || multiline == 0 {
		t.Fatalf("%d records, %d customers, %d notes with newlines", len(records), len(ids), multiline)
	}
}

func BenchmarkWrite(b *testing.B) {
	for b.Loop() {
		var buf bytes.Buffer
		if err := sample.Write(&buf, 10_000, 1); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(buf.Len()))
	}
}
