package link

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// modelVersion is the first byte of a model. What follows is deflated: the length of a JSON text as uvarint and the text, then patterns of
// addresses that differ from what their parts say (uvarint distance, two scaled logarithms) and terms (hash, scaled logarithm).
const modelVersion = 1

// logScale is how finely logarithms are kept: to a thousandth.
const logScale = 1000

// storedModel is the part of a model that is JSON.
type storedModel struct {
	Custom         []string
	DayFirst       bool
	Void, Second   []uint32 `json:",omitempty"`
	Account        bool
	M, U           [][]float32
	PartM, PartU   [addressParts][4]float32
	Shared         []float32
	PriorM, PriorH float32
	PriorU         float32
	Together       float32
	Seldom         float32
	Tail           []float32
	Patterns       int
	Terms          int
}

func scaled(x float32) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, math.Round(float64(x)*logScale))))
}

// Marshal returns the model's bytes: some kilobytes, and up to a hundred where there are many frequent terms.
func (m *Model) Marshal() []byte {
	s := storedModel{Custom: m.custom, DayFirst: m.dayFirst, Void: sortedKeys(m.void), Second: sortedKeys(m.second), Account: m.account, PartM: m.partM, PartU: m.partU, PriorM: m.priorM, PriorH: m.priorH,
		PriorU: m.priorU, Together: m.together, Seldom: m.seldom, Shared: m.shared[:m.fields()], Tail: m.tail[:m.slots()]}
	for f := range m.fields() {
		one, two := m.logM[f], m.logU[f]
		if f == fAddress {
			one, two = nil, nil
		}
		s.M, s.U = append(s.M, one), append(s.U, two)
	}
	var body []byte
	last := 0
	for n := 1; n < addressPatterns; n++ {
		a, b := m.patternLogs(n)
		one, two := scaled(m.logM[fAddress][n]-a), scaled(m.logU[fAddress][n]-b)
		if one == 0 && two == 0 {
			continue
		}
		body = binary.AppendUvarint(body, uint64(n-last))
		body = binary.LittleEndian.AppendUint16(body, uint16(one))
		body = binary.LittleEndian.AppendUint16(body, uint16(two))
		last = n
		s.Patterns++
	}
	type term struct {
		hash uint32
		log  int16
	}
	var all []term
	for i, h := range m.terms.hash {
		if h != 0 {
			all = append(all, term{h, scaled(m.terms.log[i])})
		}
	}
	slices.SortFunc(all, func(a, b term) int { return cmp.Compare(a.hash, b.hash) })
	s.Terms = len(all)
	before := uint32(0)
	for _, t := range all {
		body = binary.AppendUvarint(body, uint64(t.hash-before))
		body = binary.LittleEndian.AppendUint16(body, uint16(t.log))
		before = t.hash
	}
	text, err := json.Marshal(s)
	if err != nil { // there is nothing in it that could fail, but numbers that are none
		panic(fmt.Sprintf("a model that can't be kept: %v", err))
	}
	var out bytes.Buffer
	out.WriteByte(modelVersion)
	w, _ := flate.NewWriter(&out, flate.BestCompression) // the level is a legal one
	for _, b := range [][]byte{binary.AppendUvarint(nil, uint64(len(text))), text, body} {
		_, _ = w.Write(b)
	}
	_ = w.Close() // into memory
	return out.Bytes()
}

var errModel = errors.New("the model of a matching is damaged")

// maxModel is how many bytes a model may have when it is inflated.
const maxModel = 4 << 20

// Parse is the reverse of Marshal.
func Parse(b []byte) (*Model, error) {
	if len(b) == 0 || b[0] != modelVersion {
		return nil, fmt.Errorf("%w: its version is unknown", errModel)
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b[1:])), maxModel+1))
	if err != nil || len(plain) > maxModel {
		return nil, errModel
	}
	n, k := binary.Uvarint(plain)
	if k <= 0 || n > uint64(len(plain)-k) {
		return nil, errModel
	}
	var s storedModel
	if err := json.Unmarshal(plain[k:k+int(n)], &s); err != nil {
		return nil, errModel
	}
	return s.model(plain[k+int(n):])
}

func sortedKeys(set map[uint32]bool) []uint32 { return slices.Sorted(maps.Keys(set)) }

func setOf(keys []uint32) map[uint32]bool {
	set := make(map[uint32]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return set
}

// complete gives a model that was made before some levels of names were told apart what is believed of these.
func (m *Model) complete(f int) {
	if f != fGiven && f != fFamily || len(m.logM[f]) < 2 || len(m.logU[f]) != len(m.logM[f]) {
		return
	}
	for l := len(m.logM[f]); l < levelsOf(f); l++ {
		m.logM[f] = append(m.logM[f], float32(math.Log(believedM[f][l])))
		m.logU[f] = append(m.logU[f], float32(math.Log(believedU[f][l])))
	}
}

// model makes a model of what is stored.
func (s *storedModel) model(body []byte) (*Model, error) {
	m := &Model{custom: s.Custom, habits: habits{dayFirst: s.DayFirst, void: setOf(s.Void), second: setOf(s.Second)}, account: s.Account, partM: s.PartM, partU: s.PartU, priorM: s.PriorM, priorH: s.PriorH, priorU: s.PriorU,
		together: s.Together, seldom: s.Seldom}
	if len(s.Custom) > maxCustom || len(s.M) != m.fields() || len(s.U) != m.fields() || len(s.Shared) != m.fields() || len(s.Tail) != m.slots() {
		return nil, errModel
	}
	copy(m.shared[:], s.Shared)
	copy(m.tail[:], s.Tail)
	for f := range m.fields() {
		m.logM[f], m.logU[f] = s.M[f], s.U[f]
		if f == fAddress {
			m.logM[f], m.logU[f] = make([]float32, addressPatterns), make([]float32, addressPatterns)
		}
		m.complete(f)
		if len(m.logM[f]) != levelsOf(f) || len(m.logU[f]) != levelsOf(f) {
			return nil, errModel
		}
	}
	m.independent()
	next := func() (step uint64, log int16, ok bool) {
		step, k := binary.Uvarint(body)
		if k <= 0 || len(body)-k < 2 {
			return 0, 0, false
		}
		log = int16(binary.LittleEndian.Uint16(body[k:]))
		body = body[k+2:]
		return step, log, true
	}
	at := uint64(0)
	for range s.Patterns {
		step, one, ok := next()
		if !ok || len(body) < 2 || step >= addressPatterns || at+step >= addressPatterns {
			return nil, errModel
		}
		at += step
		m.logM[fAddress][at] += float32(one) / logScale
		m.logU[fAddress][at] += float32(int16(binary.LittleEndian.Uint16(body))) / logScale
		body = body[2:]
	}
	if s.Terms < 0 || s.Terms > len(body) {
		return nil, errModel
	}
	m.terms = newTerms(s.Terms)
	hash := uint64(0)
	for range s.Terms {
		step, log, ok := next()
		if hash += step; !ok || step == 0 || hash > math.MaxUint32 {
			return nil, errModel
		}
		m.terms.put(uint32(hash), float32(log)/logScale)
	}
	m.mixHouseholds()
	m.bound()
	return m, nil
}
