package storetest_test

import (
	"fmt"
	"slices"
	"testing"

	"kith/store"
	"kith/store/mem"
	"kith/store/storetest"
)

func TestCensusTellsMistakes(t *testing.T) {
	var got []string
	c := &storetest.Census{
		Store: mem.New(),
		Families: []store.Family{
			{Name: "a", Table: store.Jobs, Partition: "p{x}", Key: "k", Kind: store.SwapRows},
			{Name: "b", Table: store.Jobs, Partition: "p1", Key: "{any}", Kind: store.SwapRows},
		},
		Report: func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) },
	}
	at := func(key string) store.Partition { return store.Partition{Table: store.Jobs, Key: key} }
	if _, err := c.Swap(t.Context(), at("p2"), []store.Swap{{Key: []byte("k")}}); err != nil || len(got) > 0 {
		t.Fatalf("a row as it should be: %v, %v", got, err)
	}
	_, _ = c.Swap(t.Context(), at("p1"), []store.Swap{{Key: []byte("k")}})
	_, _ = c.Swap(t.Context(), at("x"), []store.Swap{{Key: []byte("k")}, {Key: []byte("k2")}})
	_ = c.Write(t.Context(), at("p2"), []store.Mutation{{Key: []byte("k")}})
	want := []string{
		`a row of table jobs with partition "p1" and key "k" belongs to 2 families, one of them is "b"`,
		`a row of table jobs with partition "x" and key "k" belongs to no family`,
		`a row of family "a" is written by Write, it is of kind Swap`,
	}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q\nwant %q", got, want)
	}
}
