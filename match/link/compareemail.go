package link

import "bytes"

// email compares all addresses of both; the best counts. It needs the names.
func (c *comparer) email() {
	a, b := c.a.slot(sEmail), c.b.slot(sEmail)
	if len(a) == 0 || len(b) == 0 {
		c.level[fEmail] = missing
		return
	}
	best := emailOther
	eachPart(a, valueEnd, func(x []byte) bool {
		eachPart(b, valueEnd, func(y []byte) bool {
			if bytes.Equal(x, y) {
				if f := c.frequency(sEmail, x); best != exact || f < c.log[fEmail] {
					c.log[fEmail] = f
				}
				best = exact
			} else if best > emailTypo {
				best = min(best, c.emailLevel(x, y))
			}
			return true
		})
		return true
	})
	if best == emailNamed {
		best = missing
	}
	c.level[fEmail] = uint16(best)
}

func (c *comparer) emailLevel(x, y []byte) int {
	nx, ny := bytes.IndexByte(x, '@'), bytes.IndexByte(y, '@')
	localX, localY := x[:nx], y[:ny]
	sameLocal := bytes.Equal(localX, localY)
	alikeLocal := sameLocal
	if !sameLocal {
		if !mayBeAlike(localX, localY) {
			return emailOther
		}
		alikeLocal = len(localX) >= 4 && len(localY) >= 4 && distance(localX, localY, 2) <= 2
		if !alikeLocal && (len(localX) < 5 || len(localY) < 5 || jaroWinkler(localX, localY) < 0.9) {
			return emailOther
		}
	}
	domainX, domainY := x[nx+1:], y[ny+1:]
	sameDomain := bytes.Equal(domainX, domainY)
	edits := 3
	if alikeLocal {
		edits = distance(localX, localY, 2) + distance(domainX, domainY, 2)
	}
	switch {
	case sameLocal && edits <= 2:
		return emailTypo
	case sameLocal && !c.named(localX) && !agreesInNames(c.level[:]):
		return emailLocal
	case sameLocal || digitsDiffer(localX, localY): // john12@ and john13@ are neighbours
		return emailNamed
	case edits <= 2 && sameDomain && localX[0] != localY[0] && c.initials(localX, localY): // jsmith@ and msmith@ are colleagues
		return emailNamed
	case edits <= 1 || edits == 2 && !(sameDomain && (providers[string(domainX)] || min(len(localX), len(localY)) < 8)):
		return emailTypo
	}
	return emailNamed
}

// providers are domains where so many have addresses that two letters are no distance.
var providers = set(`gmail.com yahoo.com outlook.com hotmail.com icloud.com live.com aol.com msn.com me.com mac.com gmx.de gmx.net web.de t-online.de freenet.de
yahoo.co.uk hotmail.co.uk yahoo.fr hotmail.fr orange.fr free.fr laposte.net wanadoo.fr libero.it virgilio.it hotmail.it yahoo.it hotmail.es yahoo.es telefonica.net wp.pl o2.pl onet.pl
interia.pl mail.ru yandex.ru rambler.ru bk.ru list.ru inbox.ru qq.com 163.com 126.com sina.com foxmail.com naver.com daum.net yahoo.co.jp docomo.ne.jp comcast.net verizon.net att.net
sbcglobal.net bigpond.com uol.com.br bol.com.br terra.com.br proton.me protonmail.com example.com example.org example.net`)

// digitsDiffer says whether what two texts differ in is digits.
func digitsDiffer(a, b []byte) bool {
	a, b = trim(a, b)
	for _, x := range [...][]byte{a, b} {
		for _, c := range x {
			if c < '0' || c > '9' {
				return false
			}
		}
	}
	return true
}

// initials says whether local parts begin with the first letters of two given names and go on with a family name.
func (c *comparer) initials(x, y []byte) bool {
	return c.level[fGiven] != exact && (initialed(&c.a, x) || initialed(&c.b, y))
}

func initialed(v *view, local []byte) bool {
	given, family := v.slot(sGiven), v.slot(sFamily)
	return len(family) >= 3 && bytes.HasPrefix(local[1:], family[:3]) && (len(given) == 0 || given[0] == local[0])
}

// named says whether a local part is made of the names.
func (c *comparer) named(local []byte) bool {
	for _, v := range [...]*view{&c.a, &c.b} {
		for _, slot := range [...]int{sGiven, sFamily} {
			if n := v.slot(slot); len(n) >= 3 && bytes.Contains(local, n) {
				return true
			}
		}
	}
	return false
}
