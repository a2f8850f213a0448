package pebble

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// Pebble's log and its manifest are files of chunks. At the first chunk that is not sound it stops, and takes that for the end: a
// write that was under way when the power failed looks like that, and so does an older file that is used again. But so does one
// flipped bit in the middle, and then all acknowledged writes behind it would be gone without a word. Pebble looks for a later
// chunk that says "the log was synced up to here" and lies behind the bad one. That misses much (v2.1): it begins with the next
// block of 32 KiB, so that the last block is never looked at; the offset it compares with does not count full blocks; a flip in a
// chunk's log number may make it the mark of the end; and the first log of a new database has no offsets, because it is begun before
// the format is raised (prepare begins another). So the files are examined here before Pebble reads them.
//
// The format: blocks of 32 KiB, in each of them chunks, none of which crosses a block's end:
//
//	checksum (4) | length of the payload (2) | type (1) | log number (4) | synced offset (8) | payload
//
// The checksum is of all that follows the length. The manifest's chunks have neither log number nor offset, those of an older log no
// offset. A record is one chunk of
// type full, or several of types first, middle, …, last. The end of a log that was closed is a header with the next log's number.
const (
	chunkBlock     = 32 << 10
	manifestHeader = 7
	olderHeader    = 11
	logHeader      = 19
)

// The types of chunks: full, first, middle and last, counted from here.
const (
	manifestType = 1
	olderType    = 5
	logType      = 9
)

// chunkFile is a file of chunks in memory.
type chunkFile struct {
	data   []byte
	number uint32 // of the log; the manifest has none
	log    bool
}

func (f *chunkFile) header() int {
	if f.log {
		return logHeader
	}
	return manifestHeader
}

// headerOf returns the length of the header of a chunk of a type, or 0 if the file has none such.
func (f *chunkFile) headerOf(t byte) int {
	switch {
	case !f.log && t >= manifestType && t < olderType:
		return manifestHeader
	case f.log && t >= olderType && t < logType:
		return olderHeader
	case f.log && t >= logType && t < logType+4:
		return logHeader
	}
	return 0
}

func (f *chunkFile) firstType() byte {
	if f.log {
		return logType
	}
	return manifestType
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// cooked is a checksum as it is stored.
func cooked(crc uint32) uint32 { return (crc>>15 | crc<<17) + 0xa282ead8 }

func uncooked(stored uint32) uint32 {
	rotated := stored - 0xa282ead8
	return rotated<<15 | rotated>>17
}

// blockEnd returns the end of the block that a position lies in.
func (f *chunkFile) blockEnd(at int) int {
	return min(len(f.data), at/chunkBlock*chunkBlock+chunkBlock)
}

// chunk returns the end of the chunk that begins at a position, or 0 if there is no sound chunk of this file.
func (f *chunkFile) chunk(at int) int {
	if at+manifestHeader > f.blockEnd(at) {
		return 0
	}
	b := f.data[at:]
	h := f.headerOf(b[6])
	end := at + h + int(binary.LittleEndian.Uint16(b[4:]))
	if h == 0 || end > f.blockEnd(at) || f.log && binary.LittleEndian.Uint32(b[7:]) != f.number {
		return 0
	}
	if cooked(crc32.Checksum(f.data[at+6:end], castagnoli)) != binary.LittleEndian.Uint32(b) {
		return 0
	}
	return end
}

// finding is what an examination found: where the sound chunks end, and why.
type finding struct {
	end int
	// damaged says that there has been a whole chunk at end, and that it was written for good.
	damaged bool
	// flipped says that one bit is wrong: putting right the byte at flip by mask makes the chunk sound.
	flipped bool
	flip    int
	mask    byte
}

// examine walks over the chunks.
func (f *chunkFile) examine() finding {
	at := 0
	for at < len(f.data) {
		left := f.blockEnd(at) - at
		if left < f.header() && len(bytes.Trim(f.data[at:at+left], "\x00")) == 0 {
			at += left // what is left of a block
			continue
		}
		end := f.chunk(at)
		if end == 0 {
			break
		}
		at = end
	}
	found := finding{end: at}
	if at >= len(f.data) {
		return found
	}
	found.flip, found.mask, found.flipped = f.flippedBit(at)
	found.damaged = found.flipped || f.later(at)
	return found
}

// ended says that a log was closed at a position: by the mark of its end, or by the end of the file.
func (f *chunkFile) ended(at int) bool {
	const mark = 11
	b := f.data[at:]
	return len(b) == 0 || len(b) >= mark && bytes.Equal(b[:6], make([]byte, 6)) && binary.LittleEndian.Uint32(b[7:]) == f.number+1
}

// later says that what lies behind a position proves that it was sound. Of a manifest that is any chunk: each is synced before the
// next is written. Of a log it is a chunk that says that the log had been synced beyond the position, or chunks that tell of two
// syncs that ended after the first of them was written: the second of these began after the chunk at the position had been written.
// (Unsynced chunks prove nothing: a power failure may leave later ones and take earlier ones.)
func (f *chunkFile) later(at int) bool {
	var synced uint64
	steps := 0
	for y, end := range f.chunksFrom(at + 1) {
		if !f.log {
			if end > y+f.header() {
				return true
			}
			continue
		}
		if f.headerOf(f.data[y+6]) < logHeader {
			continue
		}
		s := binary.LittleEndian.Uint64(f.data[y+11:])
		if s > uint64(at) {
			return true
		}
		if steps == 0 || s > synced {
			synced = s
			steps++
		}
		if steps == 3 {
			return true
		}
	}
	return false
}

// chunksFrom yields begin and end of every sound chunk from a position on, wherever they begin: where one lies that is not sound, its
// length may be wrong too.
func (f *chunkFile) chunksFrom(at int) func(func(begin, end int) bool) {
	return func(yield func(int, int) bool) {
		for at < len(f.data) {
			end := f.chunk(at)
			if end == 0 {
				at++
				continue
			}
			if !yield(at, end) {
				return
			}
			at = end
		}
	}
}

// flippedBit looks for the one bit whose flipping makes the bytes at a position a sound chunk.
func (f *chunkFile) flippedBit(at int) (offset int, mask byte, ok bool) {
	h := f.header()
	if rest := f.data[at:f.blockEnd(at)]; len(rest) < h { // zeros, but for the bit
		i := bytes.IndexFunc(rest, func(r rune) bool { return r != 0 })
		return at + i, rest[i], bits.OnesCount8(rest[i]) == 1 && len(bytes.Trim(rest[i+1:], "\x00")) == 0
	}
	if !f.nearly(f.data[at : at+h]) {
		return 0, 0, false
	}
	stored := uncooked(binary.LittleEndian.Uint32(f.data[at:]))
	length := binary.LittleEndian.Uint16(f.data[at+4:])
	for i := range 16 {
		end := at + h + int(length^1<<i)
		if end <= f.blockEnd(at) && crc32.Checksum(f.data[at+6:end], castagnoli) == stored {
			return f.proven(at, at+4+i/8, 1<<(i%8))
		}
	}
	end := at + h + int(length)
	if end > f.blockEnd(at) {
		return 0, 0, false
	}
	crc := crc32.Checksum(f.data[at+6:end], castagnoli)
	if diff := cooked(crc) ^ binary.LittleEndian.Uint32(f.data[at:]); bits.OnesCount32(diff) == 1 {
		i := bits.TrailingZeros32(diff)
		return f.proven(at, at+i/8, 1<<(i%8))
	}
	// What a flip in the last byte does to the checksum, then in the one before it, and so on.
	var effect [8]uint32
	for i := range effect {
		effect[i] = castagnoli[1<<i]
	}
	for pos := end - 1; pos >= at+6; pos-- {
		for i := range effect {
			if effect[i] == crc^stored {
				return f.proven(at, pos, 1<<i)
			}
			effect[i] = effect[i]>>8 ^ castagnoli[byte(effect[i])]
		}
	}
	return 0, 0, false
}

// nearly says that a header is one of this file but for one bit: else random bytes would pass for a damaged chunk now and then.
func (f *chunkFile) nearly(h []byte) bool {
	wrong := 4
	for t := f.firstType(); t < f.firstType()+4; t++ {
		wrong = min(wrong, bits.OnesCount8(h[6]^t))
	}
	if f.log {
		wrong += bits.OnesCount32(binary.LittleEndian.Uint32(h[7:]) ^ f.number)
	}
	return wrong <= 1
}

// proven says whether the chunk at a position is sound with a byte changed.
func (f *chunkFile) proven(at, offset int, mask byte) (int, byte, bool) {
	f.data[offset] ^= mask
	sound := f.chunk(at) != 0
	f.data[offset] ^= mask
	return offset, mask, sound
}

// records yields the records that begin at or behind a position, as far as they are whole.
func (f *chunkFile) records(at int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		var open []byte
		last := 0
		for begin, end := range f.chunksFrom(at) {
			payload := f.data[begin+f.headerOf(f.data[begin+6]) : end]
			part := (f.data[begin+6] - 1) % 4
			switch part {
			case 0:
				open = nil
				if !yield(payload) {
					return
				}
			case 1:
				open = bytes.Clone(payload)
			case 2, 3:
				if open == nil || begin != last && begin != (last+chunkBlock-1)/chunkBlock*chunkBlock {
					open = nil // a part is missing
					break
				}
				open = append(open, payload...)
				if part == 3 {
					if !yield(open) {
						return
					}
					open = nil
				}
			}
			last = end
		}
	}
}
