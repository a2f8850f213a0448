package link

// A slot is a place of a record: what a profile says about one thing, as it is compared.
const (
	sGiven    = iota // words of the given name
	sMiddle          // words of further names, behind a digit for the generation if it is known
	sFamily          // words of the family name
	sBirth           // a date, four bytes
	sGender          // one letter
	sEmail           // local part and domain; the slots from here on may have several values
	sPhone           // the last digits
	sStreet          // addresses; the parts of the n-th one are the n-th values of these slots
	sNumber          //   house number
	sUnit            //   further lines
	sCity            //
	sPostcode        //
	sState           //
	sBusiness        // name of a firm
	sAccount         // account number
	sCustom          // the custom attributes that are compared
	maxSlots  = sCustom + maxCustom
)

const (
	maxCustom = 8
	// valueEnd separates the values of a slot.
	valueEnd = 0
	maxSlot  = 255 // bytes
	maxValue = 80  // bytes of one value
)

// view is a record whose slots are found.
//
// A record is what is compared of a profile: the lengths of its slots, a byte each, and then the slots. It is made once and read for
// every pair, so it has no pointers, and finding a slot is an addition.
type view struct {
	data []byte
	off  [maxSlots + 1]uint16
	n    int // slots
}

// read finds the slots of a record of n slots, and returns the record's length.
func (v *view) read(r []byte, n int) int {
	at := uint16(n)
	for i, l := range r[:n] {
		v.off[i] = at
		at += uint16(l)
	}
	v.off[n] = at
	v.data, v.n = r[:at], n
	return int(at)
}

func (v *view) slot(i int) []byte { return v.data[v.off[i]:v.off[i+1]] }

func (v *view) has(i int) bool { return v.off[i] != v.off[i+1] }

func (v *view) birth() date {
	b := v.slot(sBirth)
	if len(b) < 4 {
		return 0
	}
	return date(b[0])<<24 | date(b[1])<<16 | date(b[2])<<8 | date(b[3])
}

// recordLen is the length of the record at the start of b.
func recordLen(b []byte, slots int) int {
	n := slots
	for _, l := range b[:slots] {
		n += int(l)
	}
	return n
}

// slots are a record that is being made.
type slots [maxSlots][]byte

func (s *slots) reset() {
	for i := range s {
		s[i] = s[i][:0]
	}
}

// add adds a value to a slot, unless it is there or there is no room.
func (s *slots) add(slot int, value []byte) {
	value = value[:min(len(value), maxValue)]
	if len(value) == 0 {
		return
	}
	found := false
	eachPart(s[slot], valueEnd, func(part []byte) bool {
		found = string(part) == string(value)
		return !found
	})
	if found || len(s[slot])+1+len(value) > maxSlot {
		return
	}
	if len(s[slot]) > 0 {
		s[slot] = append(s[slot], valueEnd)
	}
	s[slot] = append(s[slot], value...)
}

// appendTo appends the record of n slots.
func (s *slots) appendTo(dst []byte, n int) []byte {
	for _, b := range s[:n] {
		dst = append(dst, byte(len(b)))
	}
	for _, b := range s[:n] {
		dst = append(dst, b...)
	}
	return dst
}
