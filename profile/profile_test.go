package profile

import (
	"iter"
	"slices"
	"testing"
)

func TestUnion(t *testing.T) {
	id := func(n byte) ID { return ID{n} }
	stream := func(ns ...byte) func(func(ID, error) bool) {
		return func(yield func(ID, error) bool) {
			for _, n := range ns {
				if !yield(id(n), nil) {
					return
				}
			}
		}
	}
	collect := func(seq func(func(ID, error) bool)) (got []byte) {
		for i, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, i[0])
		}
		return got
	}
	type seqs = []func(func(ID, error) bool)
	for _, c := range []struct {
		in seqs
		or []byte
	}{
		{seqs{}, nil},
		{seqs{stream(1, 3)}, []byte{1, 3}},
		{seqs{stream(1, 3, 5), stream(2, 3, 4, 5), stream(3, 5, 9)}, []byte{1, 2, 3, 4, 5, 9}},
		{seqs{stream(1), stream()}, []byte{1}},
	} {
		var list []func(func(ID, error) bool)
		list = append(list, c.in...)
		if got := collect(union(toSeq(list))); !slices.Equal(got, c.or) {
			t.Errorf("union %v, want %v", got, c.or)
		}
	}
}

func toSeq(list []func(func(ID, error) bool)) (out []iter.Seq2[ID, error]) {
	for _, s := range list {
		out = append(out, s)
	}
	return out
}
