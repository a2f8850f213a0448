package stage

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"kith/schema"
)

// Reason codes of keys that would make strangers one customer.
const (
	reasonPlaceholder = "placeholder-key"
	reasonDamaged     = "damaged-key"
)

// placeholders are what people write where they have nothing to write, in lower case, without accents and outer signs.
var placeholders = func() map[string]bool {
	all := map[string]bool{}
	for p := range strings.SplitSeq(placeholderList, "|") {
		all[schema.Unaccented(strings.TrimSpace(p))] = true
	}
	return all
}()

const placeholderList = `n/a|n\a|\n|na|n.a|#n/a|#n/v|#nv|#n/d|#n/b|#н/д|#yok|null|nil|none|nan|undefined|unknown|missing|empty|blank|tbd|tba|not available|not applicable|not provided|not known|not given|not specified|unspecified|none given|no id|no number|
no value|kein|nomail|keine mail|keinemail|sinemail|xxx|xxxx|xxxxx|loading|object object|undefined undefined|null null|anonymous|no data|no email|noemail|no e-mail|no mail|no phone|not set|
unbekannt|keine|keiner|fehlt|leer|k.a|k. a|keine angabe|nicht vorhanden|nicht bekannt|keine e-mail|keine email|keine telefonnummer|kein telefon|entfällt|entfaellt|unbek|ohne|ohne angabe|nicht angegeben|folgt|
sans|inconnu|inconnue|aucun|aucune|néant|vide|n.c|s.o|non renseigné|non renseignée|non disponible|sans objet|non connu|pas d'email|pas de téléphone|non communiqué|non précisé|non fourni|non spécifié|
desconocido|desconocida|ninguno|ninguna|vacío|s/d|sin datos|no disponible|no aplica|sin correo|sin email|sin teléfono|no tiene|sin especificar|no especificado|
desconhecido|desconhecida|nenhum|nenhuma|vazio|n/d|não informado|nao informado|sem dados|não disponível|não tem|sem email|sem telefone|não se aplica|não especificado|não consta|
sconosciuto|sconosciuta|nessuno|nessuna|vuoto|n.d|nd|non disponibile|non disp|non pervenuto|non applicabile|nessuna email|nessun telefono|non specificato|
onbekend|geen|leeg|n.v.t|nvt|niet beschikbaar|niet bekend|niet van toepassing|geen e-mail|geen email|geen telefoon|
brak|nieznany|nieznana|nieznane|puste|nie dotyczy|nie podano|nie podał|nie podała|b.d|brak danych|brak emaila|brak telefonu|nie ma|
yok|bilinmiyor|boş|belirtilmemiş|mevcut değil|bilgi yok|yoktur|girilmemiş|e-posta yok|telefon yok|
нет|неизвестно|н/д|отсутствует|не указано|не указан|не указана|не определено|немає|невідомо|не вказано|
saknas|okänd|okänt|ingen|inget|ej angivet|ej angiven|ukendt|ukjent|ikke oplyst|ikke oppgitt|mangler|ei ole|ei tiedossa|tuntematon|puuttuu|
neuvedeno|neznámý|neznámé|není|chybí|neuvedené|neznáme|nie je|nincs|ismeretlen|nincs megadva|necunoscut|nu are|nespecificat|
δεν υπάρχει|άγνωστο|κενό|لا يوجد|غير معروف|غير متوفر|אין|לא ידוע|ללא|
なし|無し|不明|未登録|未定|該当なし|未入力|未記入|未設定|無記入|
无|無|未知|不详|不詳|暂无|暫無|空|没有|沒有|未填|未填写|未填寫|未提供|不适用|不適用|
없음|미상|알수없음|알 수 없음|해당없음|해당 없음|정보없음|정보 없음|미입력|미등록|모름`

// noReply are the names of mailboxes at which nobody is, without signs: who gives one as his address shares it with others.
var noReply = map[string]bool{"noreply": true, "donotreply": true, "nepasrepondre": true, "noresponder": true, "nichtantworten": true, "keineantwort": true, "nonrispondere": true, "naoresponder": true}

// madeUp are what people type for both parts of an address to get past a form: test@test.com.
var madeUp = map[string]bool{"test": true, "email": true, "mail": true, "abc": true, "asdf": true, "aaa": true, "noemail": true, "example": true, "user": true, "demo": true, "name": true}

var withoutSigns = strings.NewReplacer("-", "", "_", "", ".", "")

// badKey says why a value can't be part of a unique key although it is one: it stands for no value, or a spreadsheet has spoiled it. code is
// empty for all others.
func badKey(v []byte, ct schema.ContentType) (code, sentence string) {
	switch {
	case damaged(v):
		return reasonDamaged, "The unique key was spoilt by a spreadsheet: what is left of it is the same for several customers. Format the column as text, or as a number without decimals, and export it again."
	case underTable(v):
		return reasonPlaceholder, "The row seems to be a remark below the table, as totals are: its unique key is the word for that. Leave it out; if it is a customer, give it another key."
	case placeholder(v), ct == schema.Phone && noNumber(v):
		return reasonPlaceholder, "The unique key is a word for no value. Strangers that share it would become one customer. Fill in the value, or leave out the row."
	}
	return "", ""
}

// badRow says why a row is none of a customer although its unique key could be one: it repeats the name of the key's column, or it is a remark below the table.
func (m *mapper) badRow(f *boundField, v []byte) (sentence string) {
	if f.column < 0 || len(m.unique) > 1 {
		return ""
	}
	if name := m.header[f.column]; len(v) == len(name) && strings.EqualFold(string(v), name) {
		return "The unique key is the name of its column: the row explains the table, or is its header again. Leave it out."
	}
	if isType(v) && allTypes(m.cells) {
		return "The row has the types of the columns, and no customer. Leave it out."
	}
	isName := f.place >= 0 && m.fields[f.place].attr.ID != schema.AccountNumber // who says that a name is the key means words
	if len(m.header) < 3 || isName || f.ct == schema.Phone || f.ct == schema.Email || !remark(v) {
		return ""
	}
	for i, c := range m.cells {
		if i != f.column && !schema.Blank(c) {
			return ""
		}
	}
	return "The row seems to be a remark above or below the table: it has nothing but words, in the column of the unique key. Leave it out; if it is a customer, fill in another cell of the row."
}

// types are those of columns, as databases and programs name them.
var types = func() map[string]bool {
	all := map[string]bool{}
	for t := range strings.FieldsSeq("int integer bigint smallint tinyint long short varchar nvarchar char nchar text longtext mediumtext string str number numeric decimal float double real date datetime timestamp time boolean bool bit uuid guid uniqueidentifier money currency json object email phone") {
		all[t] = true
	}
	return all
}()

// isType says whether a value names a type of columns, with its length or without: varchar(255).
func isType(v []byte) bool {
	var word [16]byte
	n := 0
	for ; n < len(v) && v[n] != '('; n++ {
		c := v[n] | 0x20
		if n == len(word) || c < 'a' || c > 'z' {
			return false
		}
		word[n] = c
	}
	return types[string(word[:n])] && (n == len(v) || v[len(v)-1] == ')')
}

// allTypes says whether several cells have something in them, and all of these name types.
func allTypes(cells [][]byte) bool {
	n := 0
	for _, c := range cells {
		if c = schema.Trim(c); len(c) == 0 {
			continue
		}
		if n++; !isType(c) {
			return false
		}
	}
	return n > 1
}

// NoKey says whether a value, which is not blank, can't be part of a unique key.
func NoKey(v []byte) bool { return damaged(v) || placeholder(v) || underTable(v) }

// totals are the words with which rows below a table begin, in lower case, without accents.
var totals = func() map[string]bool {
	all := map[string]bool{}
	for w := range strings.SplitSeq(totalList, "|") {
		all[schema.Unaccented(w)] = true
	}
	return all
}()

const totalList = `total|totals|grand total|subtotal|sub-total|total count|total rows|total records|row count|record count|summe|gesamt|gesamtsumme|zwischensumme|total général|sous-total|somme totale|total general|suma total|` +
	`total geral|soma total|totale|totale generale|totaal|subtotaal|eindtotaal|razem|łącznie|suma końcowa|toplam|genel toplam|итого|всего|suma|ergebnis|gesamtergebnis|totale complessivo|合計|小計|総計|集計|总计|合计|小计|汇总|總計|彙總|합계|총계|소계|요약|총합계|end of report|end of file`

// countRows is what databases write below their rows: "(3 rows)", "3 rows affected", "3 row(s) returned".
var countRows = regexp.MustCompile(`^\(?\d+ (?:rows?|row\(s\)|records?|zeilen?|filas?|registros?|lignes?|righe|rijen|wierszy|satır)(?: (?:affected|selected|returned|in set|betroffen|afectadas|affectées))?\)?\.?$`)

// underTable says whether a value is what stands below a table in the column of the key: a word for a total, with or without a number, or a count of rows.
func underTable(v []byte) bool {
	if len(v) > maxPlaceholder {
		return false
	}
	word := v
	for at, c := range v {
		if c == '@' {
			return false
		}
		digit := c-'0' <= 9
		if !digit && c != '(' && c != ':' && c != '=' {
			continue
		}
		if at == 0 {
			return bytes.IndexByte(v, ' ') > 0 && countRows.MatchString(strings.ToLower(schema.ColumnName(string(v))))
		}
		if digit && v[at-1] != ' ' {
			return false // total1 is an id, as most keys are
		}
		word = v[:at]
		break
	}
	return len(word) >= shortestTotal && totals[schema.Unaccented(strings.ToLower(schema.ColumnName(string(word))))]
}

// shortestTotal is how many bytes a word for a total has at least.
const shortestTotal = len("total")

// damaged says whether a value is what spreadsheets make of long numbers, broken formulas, and narrow columns.
func damaged(v []byte) bool {
	if v[0] == '#' {
		last := v[len(v)-1]
		return last == '!' || len(bytes.Trim(v, "#")) == 0 && len(v) > 2 || last == '?' && len(v) > 3
	}
	if len(v) <= longestDay && len(v) > 4 && separated(v) && asDay.Match(v) {
		return true
	}
	// 4.47911E+11
	e := bytes.LastIndexByte(v, '+') - 1
	if e < 1 || v[e]|0x20 != 'e' || !allDigits(v[e+2:]) {
		return false
	}
	mantissa := bytes.TrimLeft(v[:e], "+-")
	if len(mantissa) < 1 || mantissa[0] < '1' || mantissa[0] > '9' {
		return false
	}
	return len(mantissa) == 1 || (mantissa[1] == '.' || mantissa[1] == ',') && allDigits(mantissa[2:])
}

// asDay is what spreadsheets make of numbers such as 3-1, in English and German: a day without its year, or a month. Who writes months as codes writes them in capitals.
var asDay = regexp.MustCompile(`^(\d\d?-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d\d|\d\d?\. (Jan|Feb|Mrz|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)|(Jan|Feb|Mrz|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)[ .-]\d\d)$`)

// separated says whether a text has one of the signs that days have.
func separated(v []byte) bool {
	for _, c := range v {
		if c == '-' || c == '.' || c == ' ' {
			return true
		}
	}
	return false
}

const longestDay = len("01. Mär")

func allDigits(v []byte) bool { return len(v) > 0 && len(bytes.Trim(v, "0123456789")) == 0 }

// noNumber says whether the digits of a phone number are what people type to get past a form: one digit again and again, or all in their order.
func noNumber(v []byte) bool {
	d := make([]byte, 0, 32)
	for _, c := range v {
		if c-'0' <= 9 {
			d = append(d, c)
		}
	}
	if len(d) < 4 {
		return len(d) == 1 || len(d) == 2
	}
	return len(bytes.Trim(d, string(d[:1]))) == 0 || len(d) > 6 && (bytes.HasPrefix([]byte("1234567890"), d) || bytes.HasPrefix([]byte("0123456789"), d))
}

// bracketed says whether a text says of itself that it is a remark and no value, as "(number)" and "[leer]" do.
func bracketed(text string) bool {
	n := len(text)
	return n > 2 && (text[0] == '(' && text[n-1] == ')' || text[0] == '[' && text[n-1] == ']' || text[0] == '<' && text[n-1] == '>')
}

// remark says whether a text, in the column of the key, reads like a line above or below a table if nothing else is in its row: "Contacts report",
// "Page 1 of 7", "Anzahl Datensätze: 2", "Exported: 2026-11-27". Numbers of customers have digits, and no more than one word beside them.
func remark(v []byte) bool {
	digit, letters, words := false, false, 0
	for _, c := range v {
		switch {
		case c == '@':
			return false
		case c-'0' <= 9:
			digit, letters = true, false
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= utf8.RuneSelf:
			if !letters {
				words++
			}
			letters = true
		case c == ' ':
			letters = false
		}
	}
	return words > 0 && !digit || words > 1 && bytes.IndexByte(v, ' ') > 0 || words > 0 && bytes.Contains(v, []byte(": "))
}

// maxPlaceholder is how long a placeholder is at most, in bytes.
const maxPlaceholder = 40

// placeholder says whether a value stands for no value: one of the words, signs only, or an address made of the words.
func placeholder(v []byte) bool {
	if v[0] == '-' && len(bytes.Trim(v, "-+=_| ")) == 0 { // a line below the header
		return true
	}
	if len(v) > maxPlaceholder || slices.ContainsFunc(v, func(c byte) bool { return c-'0' <= 9 }) { // most keys
		return false
	}
	low := schema.Unaccented(strings.ToLower(schema.ColumnName(string(v))))
	core := strings.Trim(low, "-–—._?*<>()[]{}!'\"` ")
	if placeholders[core] || placeholders[low] || bracketed(low) || !strings.ContainsFunc(low, func(r rune) bool {
		return r > unicode.MaxLatin1 && r != '–' && r != '—' && r != '…' || unicode.IsLetter(r)
	}) {
		return true
	}
	local, host, isMail := strings.Cut(core, "@")
	if !isMail {
		return false
	}
	if noReply[withoutSigns.Replace(local)] {
		return true
	}
	host, _, _ = strings.Cut(host, ".")
	if madeUp[local] && host == local || local == "no" && madeUp[host] {
		return true
	}
	return placeholders[local] && (placeholders[host] || host == "" || host == "example" || host == "test" || host == "email" || host == "mail")
}
