package pebble

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// logOf returns a log with a record of size bytes for each synced offset.
func logOf(number uint32, size int, synced ...uint64) *chunkFile {
	f := &chunkFile{number: number, log: true}
	for i, s := range synced {
		f.add(logType, s, bytes.Repeat([]byte{byte('a' + i%26)}, size))
	}
	return f
}

// add appends a chunk, with as much of its payload as the block has room for.
func (f *chunkFile) add(kind byte, synced uint64, payload []byte) (at int) {
	left := chunkBlock - len(f.data)%chunkBlock
	if left < f.header() {
		f.data = append(f.data, make([]byte, left)...)
		left = chunkBlock
	}
	payload = payload[:min(len(payload), left-f.header())]
	at = len(f.data)
	b := append(make([]byte, 4), binary.LittleEndian.AppendUint16(nil, uint16(len(payload)))...)
	b = append(b, kind)
	if f.log {
		b = binary.LittleEndian.AppendUint32(b, f.number)
		b = binary.LittleEndian.AppendUint64(b, synced)
	}
	b = append(b, payload...)
	binary.LittleEndian.PutUint32(b, cooked(crc32.Checksum(b[6:], castagnoli)))
	f.data = append(f.data, b...)
	return at
}

// What later chunks prove, and what they don't.
func TestDamageIsToldFromATornTail(t *testing.T) {
	const size = 100
	chunk := logHeader + size
	wipe := func(f *chunkFile, i int) { clear(f.data[i*chunk+10 : (i+1)*chunk]) }
	for name, c := range map[string]struct {
		synced []uint64
		wiped  int
		rest   []byte // behind the last chunk
		want   bool
	}{
		"the last write":                         {[]uint64{0, 119, 238}, 2, nil, false},
		"before a write of the same sync":        {[]uint64{0, 119, 119, 119}, 2, nil, false},
		"a sync that ended before it":            {[]uint64{0, 119, 119, 238}, 2, nil, false},
		"a later write tells that it was synced": {[]uint64{0, 119, 119, 357}, 2, nil, true},
		"two syncs began behind it, miscounted":  {[]uint64{0, 0, 0, 1, 2, 3}, 2, nil, true},
		"one sync ended behind it, miscounted":   {[]uint64{0, 0, 0, 1, 1, 2}, 2, nil, false},
		"an older file lies behind":              {[]uint64{0, 119, 238}, 2, logOf(3, size, 0, 119, 9999).data, false},
		"zeros lie behind":                       {[]uint64{0, 119, 238}, 2, make([]byte, 70_000), false},
	} {
		f := logOf(4, size, c.synced...)
		wipe(f, c.wiped)
		f.data = append(f.data, c.rest...)
		if found := f.examine(); found.damaged != c.want || found.end != c.wiped*chunk || found.flipped {
			t.Errorf("%s: %+v, want damaged: %t, end %d", name, found, c.want, c.wiped*chunk)
		}
	}
	whole := logOf(4, size, 0, 119, 238)
	end := len(whole.data)
	for name, rest := range map[string][]byte{
		"nothing": nil, "zeros": make([]byte, 100), "an older file": logOf(3, 50, 0, 69, 5000).data,
		"the mark of the end": append([]byte{0, 0, 0, 0, 0, 0, 5, 5, 0, 0, 0}, logOf(3, 50, 0, 69, 5000).data...),
	} {
		f := &chunkFile{data: append(bytes.Clone(whole.data), rest...), number: 4, log: true}
		if found := f.examine(); found.damaged || found.end != end {
			t.Errorf("a whole log with %s behind it: %+v, want the end %d", name, found, end)
		}
		if got := f.ended(end); got != (name == "nothing" || name == "the mark of the end") {
			t.Errorf("a whole log with %s behind it was closed: %t", name, got)
		}
	}
}

// Each bit of a file of several blocks, flipped, is found where it is, but in what is left of a block without meaning; and random bytes
// are never taken for a chunk with one wrong bit.
func TestEveryFlippedBitIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	manifest := &chunkFile{}
	for range 40 {
		payload := make([]byte, 1+rng.IntN(3000))
		for i := range payload {
			payload[i] = byte(rng.Uint32())
		}
		manifest.add(manifestType, 0, payload)
	}
	files := map[string]*chunkFile{"log": logOf(1<<20+7, 2900, make([]uint64, 30)...), "manifest": manifest}
	for name, f := range files {
		for range 1500 {
			at, mask := rng.IntN(len(f.data)), byte(1<<rng.IntN(8))
			f.data[at] ^= mask
			found := f.examine()
			f.data[at] ^= mask
			if found.end == len(f.data) {
				t.Fatalf("%s: bit %#x of byte %d was not noticed", name, mask, at)
			}
			if left := chunkBlock - found.end%chunkBlock; found.flipped && (found.flip != at || found.mask != mask) || !found.flipped && left > 60 {
				t.Fatalf("%s: bit %#x of byte %d: %+v", name, mask, at, found)
			}
		}
	}
	garbage := &chunkFile{data: make([]byte, 200), number: 7, log: true}
	for range 50_000 {
		for i := range garbage.data {
			garbage.data[i] = byte(rng.Uint32())
		}
		if found := garbage.examine(); found.damaged {
			t.Fatalf("random bytes: %+v", found)
		}
	}
}

// Records that are cut into chunks are put together again, and those that miss a part are left out.
func TestRecordsBehindDamage(t *testing.T) {
	f := &chunkFile{number: 4, log: true}
	f.add(logType, 0, []byte("lost"))
	from := f.add(logType+3, 0, []byte("the end of one that is lost"))
	f.add(logType, 0, []byte("one"))
	f.add(logType+1, 0, bytes.Repeat([]byte("x"), chunkBlock-len(f.data)-logHeader))
	f.add(logType+2, 0, bytes.Repeat([]byte("y"), chunkBlock-logHeader))
	f.add(logType+3, 0, []byte("z"))
	f.add(logType, 0, []byte("two"))
	var got []int
	for r := range f.records(from) {
		got = append(got, len(r))
	}
	if len(got) != 3 || got[0] != 3 || got[1] < chunkBlock || got[2] != 3 {
		t.Fatalf("records of %v bytes", got)
	}
}
