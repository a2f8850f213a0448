package xlsx

import (
	"fmt"
	"io"
	"strings"
)

// otherArchive says what an archive is that is no workbook.
func (b *Book) otherArchive() error {
	kind := ""
	if b.has("mimetype") {
		_ = b.with("mimetype", func(r io.Reader) error {
			text, err := io.ReadAll(io.LimitReader(r, 100))
			kind = strings.TrimSpace(string(text))
			return err
		})
	}
	has := func(part string) bool {
		for name := range b.parts {
			if strings.HasSuffix(name, part) {
				return true
			}
		}
		return false
	}
	switch {
	case strings.HasSuffix(kind, "opendocument.spreadsheet"), kind == "" && b.has("content.xml") && b.has("meta-inf/manifest.xml"):
		return &Error{"file-ods", "The file is an OpenDocument spreadsheet (.ods). Save it as an Excel workbook (.xlsx) or as CSV, and import that."}
	case b.has("xl/workbook.bin"):
		return &Error{"file-xlsb", "The file is a binary Excel workbook (.xlsb). Save it as an Excel workbook (.xlsx) or as CSV, and import that."}
	case b.has("word/document.xml"), strings.HasSuffix(kind, "opendocument.text"):
		return &Error{"file-document", "The file is a text document (Word or OpenDocument). Copy its table into a spreadsheet, save that as .xlsx or CSV, and import it."}
	case b.has("ppt/presentation.xml"), strings.HasSuffix(kind, "opendocument.presentation"):
		return &Error{"file-document", "The file is a presentation. Copy its table into a spreadsheet, save that as .xlsx or CSV, and import it."}
	case has(".iwa"), b.has("index.zip"):
		return &Error{"file-numbers", "The file is a document of Apple Numbers, Pages or Keynote. Export it as an Excel workbook (.xlsx) or as CSV, and import that."}
	}
	n := fmt.Sprintf("%d files", len(b.parts))
	if len(b.parts) == 1 {
		n = "one file"
	}
	return &Error{"file-zip", fmt.Sprintf("The file is a ZIP archive of %s. Unpack it, and import each CSV file or workbook in it; gzip and zstd are read as they are.", n)}
}
