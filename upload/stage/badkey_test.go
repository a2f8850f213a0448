package stage

import (
	"strings"
	"testing"

	"kith/schema"
)

func TestBadKey(t *testing.T) {
	for code, values := range map[string][]string{
		reasonPlaceholder: {"n/a", "N/A", "NULL", "(null)", "<none>", "-", "--", "—", "???", "unknown", "Unbekannt", "keine Angabe", "k.A.", "inconnu", "Non renseigné",
			"desconocido", "não informado", "brak", "yok", "нет", "なし", "不明", "없음", "暂无", "none@none.com", "n/a@n/a", "noemail@example.com", "unknown@", "#N/A", "#NV", ".", "n\u200b/a",
			"neant", "Não Informado", "vacio", "boş", "bos", "belirtilmemis", "nie podał", "BRAK DANYCH", "niet van toepassing", `\N`, "----+------+---", strings.Repeat("-", 50) + "+---", "=====", "|", "…", "no-reply@shop.example", "DoNotReply@shop.example",
			"[object Object]", "Loading...", "null null", "Total", "TOTAL:", "Total: 3", "Summe 2", "Grand Total", "Łącznie", "合計", "Итого", "(3 rows)", "(3 rows affected)", "3 rows affected", "2 row(s) returned", "Total (3)", "未記入", "未填写", "정보 없음", "#N/D"},
		reasonDamaged: {"4.47911E+11", "4,47911E+11", "1E+15", "-2.5e+10", "#REF!", "#WERT!", "#NAME?", "#DIV/0!", "#####", "########", "1-Mar", "Mar-01", "01. Mrz", "3. Mär", "Okt 24"},
		"": {"1", "0", "A-1", "1E5", "E+11", "4.47911E11", "x1E+11", "#1", "ann@x.de", "none@firm.com", "Nadia", "NA-77", "na7", "Brakman", "0049 30 1", "no", "none of the above is true of this one",
			"İyok1", "无锡", "Noel", "#ann", "C#", "x?", "MAR-01", "1-MAR", "May", "Mara-01", "1-Mars", "Total1", "Totalenergies", "3 Rowan Street", "Sum", "total@firm.com", "★★★", "3", "12 rows of trees", "Razem Sp"},
	} {
		for _, v := range values {
			if got, _ := badKey([]byte(v), schema.String); got != code {
				t.Errorf("%q: %q, want %q", v, got, code)
			}
		}
	}
}

func TestNoNumber(t *testing.T) {
	for phone, want := range map[string]bool{"0000000": true, "(999) 999-9999": true, "123456789": true, "012 345 6789": true, "+49 171 1111111": false, "111": false, "1234": false, "030 1234567": false} {
		if code, _ := badKey([]byte(phone), schema.Phone); (code == reasonPlaceholder) != want {
			t.Errorf("%q: %q", phone, code)
		}
	}
	if code, _ := badKey([]byte("0000000"), schema.String); code != "" {
		t.Errorf("a number that is no phone's: %q", code)
	}
}
