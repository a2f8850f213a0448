package extsort

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"
)

var (
	// ErrScratch says that what was put aside can't be read again as it was.
	ErrScratch = errors.New("a temporary file is damaged")
	// ErrFrame says that what was read is no sequence of sound frames, whatever those are to the caller.
	ErrFrame = errors.New("a bucket is damaged")
)

// Pool keeps chunks of bytes until they are wanted: in memory as long as the arena's budget and a limit of its own allow it, then in one
// file that has no name, so that nothing is left of it whatever happens. What is in the file is enciphered with a key that only the pool has, each
// chunk with a counter that never comes again, and its sum is kept in memory.
type Pool struct {
	arena *Arena
	size  int   // of a chunk
	limit int64 // bytes that wait in memory
	dir   string

	mu    sync.Mutex
	slabs map[*byte][]byte // that the pool has, by where they begin
	free  [][]byte         // chunks
	kept  int64            // bytes that wait in memory

	file  *os.File
	named bool // Close must remove it
	block cipher.Block
	end   int64   // of the file
	gaps  []int64 // places of chunks that were read again
	turn  uint64  // counts what was written
}

// ChunkSizes are from 4 to 64 KiB.
const (
	minChunk = 4 << 10
	maxChunk = slabSize
)

// ChunkSize returns the size of chunks with which n of them, one for each place that is written to at the same time, take about 32 MiB.
func ChunkSize(n int) int {
	size := maxChunk
	for size > minChunk && size*n > 32<<20 {
		size /= 2
	}
	return size
}

// NewPool returns a pool of chunks of a size that ChunkSize returned. At most limit bytes wait in memory, if it is above 0. The file is made in dir, which is
// the system's folder for temporary files when it is empty.
func NewPool(a *Arena, size int, limit int64, dir string) *Pool {
	return &Pool{arena: a, size: size, limit: limit, dir: dir, slabs: map[*byte][]byte{}}
}

// Chunk returns an empty chunk.
func (p *Pool) Chunk() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		s := p.arena.slab()
		p.slabs[&s[0]] = s
		for at := slabSize - p.size; at >= 0; at -= p.size {
			p.free = append(p.free, s[at:at:at+p.size])
		}
	}
	last := len(p.free) - 1
	c := p.free[last]
	p.free = p.free[:last]
	return c
}

// Room returns a chunk with room for n more bytes: c, or, if that is full, an empty one, which is larger than others if n is.
func (p *Pool) Room(c []byte, n int) (chunk []byte, full bool) {
	switch {
	case cap(c)-len(c) >= n:
		return c, false
	case n > p.size:
		return make([]byte, 0, n), len(c) > 0
	}
	return p.Chunk(), len(c) > 0
}

// Size is the capacity of a chunk.
func (p *Pool) Size() int { return p.size }

// Free takes back a chunk that Chunk or Load returned; nothing may point into it any more.
func (p *Pool) Free(c []byte) {
	p.arena.poison(c)
	if cap(c) != p.size {
		return // a large one, on the heap
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size < slabSize {
		p.free = append(p.free, c[:0])
	} else if s := p.slabs[&c[:1][0]]; s != nil { // whole, so that other pools can have it
		delete(p.slabs, &s[0])
		p.arena.release(s)
	}
}

// Piece is a chunk that was put aside.
type Piece struct {
	mem  []byte
	at   int64 // in the file
	n    int
	turn uint64
	sum  uint64
}

// Len is how many bytes a piece has.
func (p Piece) Len() int { return p.n }

// Keep puts a chunk aside. It may be larger than chunks of the pool are, and is the pool's from now on.
func (p *Pool) Keep(c []byte) (Piece, error) {
	if n := int64(cap(c)); p.reserve(n) {
		return Piece{mem: c, n: len(c)}, nil
	}
	return p.write(c)
}

// reserve takes room in memory, if there is any.
func (p *Pool) reserve(n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && p.kept+n > p.limit || !p.arena.wait(n) {
		return false
	}
	p.kept += n
	return true
}

// write puts a chunk into the file.
func (p *Pool) write(c []byte) (Piece, error) {
	pc := Piece{n: len(c), sum: xxh3.Hash(c)}
	if err := p.place(&pc, cap(c)); err != nil {
		return pc, err
	}
	p.encipher(pc, c)
	_, err := p.file.WriteAt(c, pc.at)
	p.Free(c)
	if err != nil {
		return pc, fmt.Errorf("put rows aside: %w", err)
	}
	return pc, nil
}

// place finds a place in the file for a piece. The first one makes the file.
func (p *Pool) place(pc *Piece, size int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		var key [16]byte
		_, _ = rand.Read(key[:])
		f, err := os.CreateTemp(p.dir, "kith-scratch-*")
		if err != nil {
			return fmt.Errorf("put rows aside: %w", err)
		}
		p.file, p.named = f, os.Remove(f.Name()) != nil // not every system can unlink an open file
		if p.block, err = aes.NewCipher(key[:]); err != nil {
			return err
		}
	}
	p.turn++
	pc.turn = p.turn
	if last := len(p.gaps) - 1; last >= 0 && size == p.size {
		pc.at, p.gaps = p.gaps[last], p.gaps[:last]
		return nil
	}
	pc.at = p.end
	p.end += int64(max(size, p.size)) // a chunk may come in the place of a smaller one
	return nil
}

// encipher enciphers or deciphers a piece: AES in counter mode (NIST SP 800-38A), the count of the writing in the upper half of the counter.
func (p *Pool) encipher(pc Piece, c []byte) {
	var iv [16]byte
	binary.BigEndian.PutUint64(iv[:], pc.turn)
	cipher.NewCTR(p.block, iv[:]).XORKeyStream(c, c)
}

// Load returns what was put aside. Unload or Drop take the bytes back.
func (p *Pool) Load(pc Piece) ([]byte, error) {
	if pc.mem != nil || pc.n == 0 {
		return pc.mem, nil
	}
	var c []byte
	if pc.n > p.size {
		c = make([]byte, pc.n)
	} else {
		c = p.Chunk()[:pc.n]
	}
	return c, p.read(pc, c)
}

// Append appends what was put aside to dst, and keeps it.
func (p *Pool) Append(dst []byte, pc Piece) ([]byte, error) {
	if pc.mem != nil || pc.n == 0 {
		return append(dst, pc.mem...), nil
	}
	at := len(dst)
	dst = slices.Grow(dst, pc.n)[:at+pc.n]
	return dst, p.read(pc, dst[at:])
}

// read reads a piece from the file.
func (p *Pool) read(pc Piece, c []byte) error {
	if _, err := p.file.ReadAt(c, pc.at); err != nil {
		return fmt.Errorf("%w: %w", ErrScratch, err)
	}
	p.encipher(pc, c)
	if xxh3.Hash(c) != pc.sum {
		return ErrScratch
	}
	return nil
}

// Spilled says how many chunks went into the file.
func (p *Pool) Spilled() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.turn
}

// Unload takes back what Load returned for a piece that will be loaded again.
func (p *Pool) Unload(pc Piece, c []byte) {
	if pc.mem == nil {
		p.Free(c)
	}
}

// Drop takes back what Load returned for a piece, which is used up.
func (p *Pool) Drop(pc Piece, c []byte) {
	if p.Free(c); pc.mem != nil {
		p.unreserve(int64(cap(pc.mem)))
	} else if pc.n > 0 && pc.n <= p.size {
		p.mu.Lock()
		p.gaps = append(p.gaps, pc.at)
		p.mu.Unlock()
	}
}

func (p *Pool) unreserve(n int64) {
	p.mu.Lock()
	p.kept -= n
	p.mu.Unlock()
	p.arena.wait(-n)
}

// Close gives everything back. Nothing of the pool may be used any more.
func (p *Pool) Close() {
	if p == nil {
		return
	}
	p.unreserve(p.kept)
	for _, s := range p.slabs {
		p.arena.poison(s)
	}
	p.arena.release(slices.Collect(maps.Values(p.slabs))...)
	p.slabs, p.free = nil, nil
	if p.file == nil {
		return
	}
	_ = p.file.Close()
	if p.named {
		_ = os.Remove(p.file.Name())
	}
	p.file = nil
}
