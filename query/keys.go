package query

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"

	"kith/profile/fold"
	"kith/store"
)

// The letters behind a generation, besides the kinds of terms; names of both kinds are under name. Those of docs and of dict come before all
// kinds: they are written in runs of their own, and runs must not interleave.
const (
	docLetter  = '1'
	dictLetter = '2'
	nameLetter = 'n'
)

var docKey = []byte("f")

// letter is the letter of a kind's partitions.
func (k kind) letter() byte {
	if k == first || k == last {
		return nameLetter
	}
	return byte(k)
}

// placeShards is how many partitions a bucket of places has.
const placeShards = 16

// bucketLen is how many characters of a term its bucket is.
func (k kind) bucketLen() int {
	if k == phone {
		return 3
	}
	return 2
}

// partition returns the partition key of a term's postings; shard is for places.
func partition(gen uint32, k kind, term string, shard byte) string {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 16), gen)
	b = append(append(b, k.letter()), cut(term, k.bucketLen())...)
	if k == place {
		b = append(b, 0, shard)
	}
	return string(b)
}

func docPartition(gen uint32, id fold.ID) string {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 24), gen)
	return string(append(append(b, docLetter), id[:]...))
}

// dictRow returns where a name is found by what it is without some of its letters.
func dictRow(gen uint32, variant string) (partition string, prefix []byte) {
	h := xxh3.HashString(variant)
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 8), gen)
	b = append(b, dictLetter, byte(h>>56), byte(h>>48))
	return string(b), binary.BigEndian.AppendUint32(nil, uint32(h))
}

// generation returns the range of all partitions of a generation.
func generation(gen uint32) (from, to string) {
	return string(binary.BigEndian.AppendUint32(nil, gen)), string(binary.BigEndian.AppendUint32(nil, gen+1))
}

// posting is a row by which a profile is found.
type posting struct {
	partition string
	key       string
	kind      kind
	term      string // of a phone number: its end
	companion string
	before    string // the digits before the end of phone numbers
}

func postingKey(term, companion string, id fold.ID) string {
	b := make([]byte, 0, len(term)+len(companion)+2+len(id))
	b = append(append(b, term...), 0)
	b = append(append(b, companion...), 0)
	return string(append(b, id[:]...))
}

// postings lists the rows of a doc, each once.
func (d *doc) postings(gen uint32, id fold.ID) (all []posting) {
	add := func(p posting) {
		for i := range all {
			if all[i].key == p.key && all[i].partition == p.partition {
				all[i].before += p.before
				return
			}
		}
		all = append(all, p)
	}
	ofLast, ofFirst := d.companions()
	shard := id[len(id)-1] % placeShards
	for _, e := range d.entries {
		companion := ofLast
		if e.kind == last {
			companion = ofFirst
		}
		if e.kind != phone {
			add(posting{partition(gen, e.kind, e.term, shard), postingKey(e.term, companion, id), e.kind, e.term, companion, ""})
			continue
		}
		for n := minPart; n <= len(e.term); n += 2 {
			at := len(e.term) - n
			end := e.term[at:]
			add(posting{partition(gen, phone, end, 0), postingKey(end, companion, id), phone, end, companion, e.term[max(at-1, 0):at]})
		}
	}
	return all
}

// value is that of a posting's row.
func (p *posting) value(signature uint64) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(p.before)), signature), p.before...)
}

// parsePosting returns what a posting's row says; before is good until the row's iterator moves on.
func parsePosting(row store.Row) (id fold.ID, signature uint64, before []byte, ok bool) {
	if len(row.Key) < len(id) || len(row.Value) < 8 {
		return id, 0, nil, false
	}
	copy(id[:], row.Key[len(row.Key)-len(id):])
	return id, binary.BigEndian.Uint64(row.Value), row.Value[8:], true
}
