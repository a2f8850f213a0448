package link

import "fmt"

// What a report says of bounds: each is a sentence or two, for it is told beside others.

// attributesBounded says that there were more custom attributes than are looked at.
func attributesBounded() string {
	return fmt.Sprintf("There are more than %d custom attributes: those that were met first were looked at.", maxNames)
}

// countAsEmpty says that so many values stand with all kinds of persons.
func countAsEmpty(values int) string {
	if values == 1 {
		return fmt.Sprintf("One birth date, e-mail address or phone number stands with %d and more persons of different names: it counts as empty.", voidPersons)
	}
	return fmt.Sprintf("%d birth dates, e-mail addresses and phone numbers stand with %d and more persons of different names: they count as empty.", values, voidPersons)
}

// sayTooLittle says that so many times profiles said the same, at most so many of them.
func sayTooLittle(times, largest int) string {
	const rest = "say the same, and too little to tell whether they are of one person: they are in no group."
	if times == 1 {
		return fmt.Sprintf("%d profiles %s", largest, rest)
	}
	return fmt.Sprintf("%d times several profiles, up to %d, %s", times, largest, rest)
}

// sentence says what was bounded of those who have the same key.
func (b bounded) sentence(key string) string {
	text := fmt.Sprintf("%d groups of profiles with the same %s, the largest of %d, were too large to compare everybody in them: they were divided by further attributes.", b.blocks, key, b.largest)
	if b.blocks == 1 {
		text = fmt.Sprintf("One group of %d profiles with the same %s was too large to compare everybody in it: it was divided by further attributes.", b.largest, key)
	}
	switch b.windows {
	case 0:
		return text
	case 1:
		return text + fmt.Sprintf(" In one part nothing more tells profiles apart: there each was compared with %d others at most.", 2*window)
	}
	return text + fmt.Sprintf(" In %d parts nothing more tells profiles apart: there each was compared with %d others at most.", b.windows, 2*window)
}
