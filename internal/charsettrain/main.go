// Command charsettrain makes the models of package charset, and the rows by which its test measures it, from the files that corpora.py writes.
//
//	go run ./internal/charsettrain FOLDER
//
// Of the words of a language two thirds make the model; the test's rows have the others only.
package main

import (
	"compress/gzip"
	"fmt"
	"hash/fnv"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"kith/upload/table/charset"
)

func main() {
	log.SetFlags(0)
	files, err := filepath.Glob(filepath.Join(os.Args[1], "*.tsv"))
	if err != nil || len(files) == 0 {
		log.Fatalf("%s has no .tsv files", os.Args[1])
	}
	const home = "upload/table/charset/"
	var models []*charset.Model
	out, err := os.Create(home + "testdata/rows.tsv.gz")
	if err != nil {
		log.Fatal(err)
	}
	rows, _ := gzip.NewWriterLevel(out, gzip.BestCompression)
	for _, f := range files {
		language := strings.TrimSuffix(filepath.Base(f), ".tsv")
		lines := read(f, language)
		train, test := split(lines, !slices.Contains(otherScripts, language))
		other := 0
		for w := range train {
			if strings.IndexFunc(w, func(r rune) bool { return r >= 0x80 }) >= 0 {
				other++
			}
		}
		if alphabets[language] == "" && language != "en" && other*50 < len(train) {
			log.Printf("%s: of %d words %d have letters beyond a to z: no model", language, len(train), other)
			continue
		}
		pairs := !slices.Contains([]string{"ja", "ko", "zh-Hans", "zh-Hant"}, language)
		letters := 90
		if !pairs {
			letters = 1500
		}
		m := charset.Train(language, pairs, train, alphabets[language], letters)
		models = append(models, m)
		log.Printf("%s: %d words, %d letters, %d rows for the test", language, len(train), len(m.Letters), len(test))
		for _, row := range test[:min(len(test), 320)] {
			_, _ = fmt.Fprintf(rows, "%s\t%s\n", language, row)
		}
	}
	if err := rows.Close(); err != nil {
		log.Fatal(err)
	}
	if err := out.Close(); err != nil {
		log.Fatal(err)
	}
	w, err := os.Create(home + "models.gz")
	if err == nil {
		err = charset.Encode(w, models)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		log.Fatal(err)
	}
}

// read returns the lines of a language. Where its code pages lack letters that people write today, they have those that stand for them.
func read(file, language string) []string {
	b, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	text := string(b)
	switch language {
	case "ro":
		text = strings.NewReplacer("ș", "ş", "ț", "ţ", "Ș", "Ş", "Ț", "Ţ").Replace(text)
	case "fa":
		text = strings.NewReplacer("ی", "ي", "\u200c", "").Replace(text)
	case "vi":
		text = vietnamese(text)
	}
	return strings.Split(strings.TrimSpace(text), "\n")
}

// alphabets are the letters beyond a to z that a language has, also where the lists are too short to show them.
var alphabets = map[string]string{
	"cs": "áčďéěíňóřšťúůýž", "da": "æøåéä", "de": "äöüßéèà", "es": "áéíóúñü", "et": "äõöüšž", "fi": "äöåéšž", "fr": "àâæçéèêëîïôœùûüÿ",
	"ga": "áéíóú", "hr": "čćđšž", "hu": "áéíóöőúüű", "is": "áðéíóúýþæö", "it": "àèéìòù", "lt": "ąčęėįšųūž", "lv": "āčēģīķļņšūž", "no": "æøåéòôü",
	"nl": "éëïöüèáçó", "pl": "ąćęłńóśźż", "pt": "áâãàçéêíóôõúü", "ro": "ăâîşţ", "sk": "áäčďéíĺľňóôŕšťúýž", "sl": "čšžćđ", "sv": "åäöéü", "tr": "çğıöşüâîû",
	"ru": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "uk": "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "bg": "абвгдежзийклмнопрстуфхцчшщъьюя", "mk": "абвгдѓежзѕијклљмнњопрстќуфхцчџш",
	"el": "αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ", "he": "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
	"ar": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيًٌٍَُِّْ", "fa": "ءآأؤئابتثجحخدذرزسشصضطظعغفقكلمنهويپچژگ",
}

// vietnamese writes tones as Windows-1258 has them: as marks behind the letter.
func vietnamese(text string) string {
	var b strings.Builder
	for _, r := range text {
		d := []rune(norm.NFD.String(string(r)))
		tone := ""
		rest := d[:0:0]
		for _, x := range d {
			if strings.ContainsRune("\u0300\u0301\u0303\u0309\u0323", x) {
				tone = string(x)
			} else {
				rest = append(rest, x)
			}
		}
		b.WriteString(norm.NFC.String(string(rest)) + tone)
	}
	return b.String()
}

// words cuts a text into words in lower case.
func words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsMark(r) })
}

// held says whether a word is kept for the test.
func held(w string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(w))
	return h.Sum32()%3 == 0
}

// otherScripts are the languages that are not written with a to z: what words of these letters their lists have are no words of theirs.
var otherScripts = []string{"ar", "bg", "el", "fa", "he", "ja", "ko", "mk", "ru", "th", "uk", "zh-Hans", "zh-Hant"}

// split counts the words for the model, and makes rows of cells none of whose words beyond ASCII are among them.
func split(lines []string, latin bool) (train map[string]int, rows []string) {
	train = map[string]int{}
	var cells [5][]string
	for _, l := range lines {
		for i, cell := range strings.Split(l, "\t") {
			test := true
			for _, w := range words(cell) {
				if latin == (strings.IndexFunc(w, unicode.IsLetter) >= 0 && !unicode.Is(unicode.Latin, []rune(w)[0])) {
					continue
				}
				if !held(w) {
					train[w]++
					test = test && strings.IndexFunc(w, func(r rune) bool { return r >= 0x80 }) < 0
				}
			}
			if test && i < len(cells) {
				cells[i] = append(cells[i], cell)
			}
		}
	}
	n := 0
	for i := range cells {
		slices.Sort(cells[i])
		cells[i] = slices.Compact(cells[i])
		h := func(s string) uint32 { f := fnv.New32a(); _, _ = f.Write([]byte(s + "x")); return f.Sum32() }
		slices.SortFunc(cells[i], func(a, b string) int { return int(int64(h(a)) - int64(h(b))) })
		n = max(n, len(cells[i]))
	}
	for k := range min(n, 320) {
		var row []string
		for i := range cells {
			if len(cells[i]) > 0 {
				row = append(row, cells[i][k%len(cells[i])])
			}
		}
		rows = append(rows, strings.Join(row, ","))
	}
	return train, rows
}
