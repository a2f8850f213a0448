package stage

import "testing"

func TestBadKey(t *testing.T) {
	for code, values := range map[string][]string{
		reasonPlaceholder: {"n/a", "N/A", "NULL", "(null)", "<none>", "-", "--", "—", "???", "unknown", "Unbekannt", "keine Angabe", "k.A.", "inconnu", "Non renseigné",
			"desconocido", "não informado", "brak", "yok", "нет", "なし", "不明", "없음", "暂无", "none@none.com", "n/a@n/a", "noemail@example.com", "unknown@", "#N/A", "#NV", ".", "n\u200b/a"},
		reasonDamaged: {"4.47911E+11", "4,47911E+11", "1E+15", "-2.5e+10", "#REF!", "#WERT!", "#NAME?", "#DIV/0!", "#####", "########"},
		"": {"1", "0", "A-1", "1E5", "E+11", "4.47911E11", "x1E+11", "#1", "ann@x.de", "none@firm.com", "Nadia", "NA-77", "na7", "Brakman", "0049 30 1", "no", "none of the above is true of this one",
			"İyok1", "无锡", "Noel", "#ann", "C#", "x?"},
	} {
		for _, v := range values {
			if got, _ := badKey([]byte(v)); got != code {
				t.Errorf("%q: %q, want %q", v, got, code)
			}
		}
	}
}
