package schema

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The words of a name that belong to the family name behind them, or before them, and those that are no part of it.
var (
	particles = wordSet("van von der den de del della di da dos das du la le los ter ten zu zum zur af av bin ibn al el st st. mac mc o")
	suffixes  = wordSet("jr. Jr Jr. JR JR. sr. Sr Sr. SR SR. II III IV")
	degrees   = wordSet("PhD PHD Ph.D. Ph.D MD M.D. Esq Esq.")
	titles    = wordSet("dr dr. prof prof. mr mr. mrs mrs. ms ms. miss herr frau fr. hr. mme m. mlle sr. sra. sig. dott. dott.ssa ing. dipl.-ing. sir")
)

func wordSet(words string) map[string]bool {
	all := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		all[w] = true
	}
	return all
}

// SplitName splits the name of a person into given and family names. "Lee, Ann" has the family name first, as names in Chinese characters and in Hangul
// have; else it is the last word, with the particles before it. A name of one word is a given name, but for Korean ones, which are written so. Titles and degrees are left out.
func SplitName(full string) (given, family string) {
	full, behind := cutSuffixes(ColumnName(full))
	if last, first, ok := strings.Cut(full, ","); ok && strings.TrimSpace(first) != "" {
		return strings.Join(untitled(first), " "), strings.Join(append(untitled(last), behind...), " ")
	}
	words := untitled(strings.TrimSuffix(full, ","))
	if len(words) < 2 && behind != nil {
		return strings.Join(append(words, behind...), " "), ""
	}
	if len(words) < 2 {
		return splitWord(strings.Join(words, ""), unicode.Hangul)
	}
	if r, _ := utf8.DecodeRuneInString(words[0]); unicode.In(r, unicode.Han, unicode.Hangul) {
		return strings.Join(words[1:], " "), words[0]
	}
	at := len(words) - 1
	for at > 1 && particles[strings.ToLower(words[at-1])] {
		at--
	}
	return strings.Join(words[:at], " "), strings.Join(append(words[at:], behind...), " ")
}

// SplitFamilyFirst is SplitName for names that begin with the family name, with the particles before it, without a comma: "Lee Ann", "van Gogh Vincent".
func SplitFamilyFirst(full string) (given, family string) {
	if strings.Contains(full, ",") {
		return SplitName(full)
	}
	words := untitled(ColumnName(full))
	if len(words) < 2 {
		return SplitName(full)
	}
	at := 1
	for at < len(words)-1 && particles[strings.ToLower(words[at-1])] {
		at++
	}
	return strings.Join(words[at:], " "), strings.Join(words[:at], " ")
}

// cutSuffixes returns a name without the degrees at its end, and what else stands behind family names: "Ray, Jr.".
func cutSuffixes(name string) (rest string, behind []string) {
	for rest = name; ; {
		i := strings.LastIndexAny(rest, " ,") + 1
		word := rest[i:]
		before := strings.TrimRight(rest[:i], " ,")
		switch {
		case before == "" || !suffixes[word] && !degrees[word]:
			return rest, behind
		case suffixes[word]:
			behind = append([]string{word}, behind...)
		}
		rest = before
	}
}

// SplitChineseName is SplitName for names in Chinese characters that are written as one word, as Chinese ones are. Japanese ones are too, and only people
// can tell where their parts end, so it is for who knows that a name is Chinese.
func SplitChineseName(full string) (given, family string) {
	if given, family = splitWord(ColumnName(full), unicode.Han); family != "" {
		return given, family
	}
	return SplitName(full)
}

// longFamilies are family names of two characters, in Chinese and in Korean.
var longFamilies = wordSet(`欧阳 歐陽 司马 司馬 诸葛 諸葛 上官 皇甫 东方 東方 尉迟 尉遲 公孙 公孫 慕容 司徒 令狐 长孙 長孫 宇文 夏侯 南宫 南宮 轩辕 軒轅 端木 百里 呼延 独孤 獨孤 闻人 聞人 申屠 太史 钟离 鍾離 西门 西門 东郭 東郭 濮阳 濮陽 淳于 单于 單于 公冶 宗政 赫连 赫連 澹台 澹臺 拓跋
	남궁 황보 제갈 선우 독고 사공 서문 동방`)

// splitWord splits a name of two to four characters of a script, of which the first one is the family name, or the first two.
func splitWord(name string, script *unicode.RangeTable) (given, family string) {
	r := []rune(name)
	if len(r) < 2 || len(r) > 4 || strings.ContainsFunc(name, func(c rune) bool { return !unicode.Is(script, c) }) {
		return name, ""
	}
	n := 1
	if len(r) > 2 && longFamilies[string(r[:2])] {
		n = 2
	}
	return string(r[n:]), string(r[:n])
}

// untitled returns the words of a name without the titles before them.
func untitled(name string) []string {
	words := strings.Fields(name)
	for len(words) > 1 && titles[strings.ToLower(words[0])] {
		words = words[1:]
	}
	return words
}
